-- Writes one checkpoint of patterns by account: all of it or nothing.
-- KEYS[1] the checkpoint (hash), KEYS[2] the accounts (hash: name -> state), KEYS[3] accounts that came in parts (hash, the same)
-- ARGV[1] owner epoch, [2] owner, [3] number of the last commit that this owner was told of, '' for none, [4] next seq, [5] next offset,
-- [6] record, [7] header, [8] now (microseconds), [9] name of the stage, '' for none, [10] how many it has, [11…] name and state of each
-- account, '' for one that is forgotten.
-- Answers {'kept', number of this commit}, {'beyond', seq, offset}, {'behind', seq, offset}, {'torn'}, {'unstaged'} or a refusal.
local no = refusal()
if no then
  return no
end
local found = redis.call('HMGET', KEYS[1], 'next_seq', 'next_offset', 'commits', 'torn', 'stage')
if found[4] then
  return {'torn'}
end
if tonumber(found[1] or '0') > tonumber(ARGV[4]) or tonumber(found[2] or '0') > tonumber(ARGV[5]) then
  return {'beyond', found[1], found[2]}
end
-- What this owner was told of is gone. Two commits may have one position, hence a number of their own. One more than it was told of is its
-- own, whose answer was lost: all that it wrote is in this one too.
if ARGV[3] ~= '' and tonumber(found[3] or '0') < tonumber(ARGV[3]) then
  return {'behind', found[1] or '0', found[2] or '0'}
end
if ARGV[9] ~= '' and (found[5] ~= ARGV[9] or redis.call('HLEN', KEYS[3]) ~= tonumber(ARGV[10])) then
  return {'unstaged'}
end
local function put(name, state)
  if state == '' then
    redis.call('HDEL', KEYS[2], name)
  else
    redis.call('HSET', KEYS[2], name, state)
  end
end
-- Until the end of this script; what finds it later was broken off.
redis.call('HSET', KEYS[1], 'torn', ARGV[8])
if ARGV[9] ~= '' then
  for _, name in ipairs(redis.call('HKEYS', KEYS[3])) do
    put(name, redis.call('HGET', KEYS[3], name))
  end
  redis.call('UNLINK', KEYS[3])
  redis.call('HDEL', KEYS[1], 'stage')
end
for i = 11, #ARGV, 2 do
  put(ARGV[i], ARGV[i + 1])
end
local commits = redis.call('HINCRBY', KEYS[1], 'commits', 1)
-- No state_epoch of its own: takeover.lua reads one.
redis.call('HSET', KEYS[1], 'next_seq', ARGV[4], 'next_offset', ARGV[5], 'state_epoch', '0', 'record', ARGV[6], 'header', ARGV[7], 'updated_at', ARGV[8],
  'users', redis.call('HLEN', KEYS[2]))
redis.call('HDEL', KEYS[1], 'torn')
return {'kept', string.format('%.0f', commits)}
