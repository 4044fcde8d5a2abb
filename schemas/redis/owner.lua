-- The head of each script that writes: whether the partition still belongs to the caller.
-- KEYS[1] the checkpoint; ARGV[1] owner epoch, ARGV[2] owner.
local function refusal()
  local found = redis.call('HMGET', KEYS[1], 'owner_epoch', 'owner')
  local epoch = tonumber(found[1] or '0')
  if epoch < tonumber(ARGV[1]) then
    return {'behind', '', ''}
  end
  -- A store that went back gives an epoch twice: the owner's own name tells the two apart.
  if epoch > tonumber(ARGV[1]) or found[2] ~= ARGV[2] then
    return {'taken', found[1]}
  end
  return nil
end
