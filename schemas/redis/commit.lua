-- Writes one checkpoint of one partition: all of it or nothing.
-- KEYS[1] the checkpoint (hash), KEYS[2] the index (sorted set of user ids), KEYS[3] the ids seen (stream), KEYS[4] the staged users (set),
-- KEYS[5…] a hash each user
-- ARGV[1] owner epoch, [2] owner, [3] next seq and [4] next offset of the last checkpoint that this owner was told of, '' for none,
-- [5] next seq, [6] next offset, [7] state epoch, [8] record, [9] now (microseconds), [10] how many ids are remembered, [11] ids seen: 24 bytes each,
-- their seq in the last eight, [12] prefix of users' keys, [13] prefix of staged users' keys, [14] name of the stage, '' for none,
-- [15] how many are staged, [16…] six values each user: transactions, amount_mean, home_department, last_event, alerts, state; then the ids of
-- users that are forgotten.
-- Answers {'kept'}, {'beyond', seq, offset}, {'behind', seq, offset}, {'torn'}, {'unstaged'} or a refusal.
local no = refusal()
if no then
  return no
end
local found = redis.call('HMGET', KEYS[1], 'next_seq', 'next_offset', 'ids', 'torn', 'stage', 'record')
if found[4] then
  return {'torn'}
end
local seq, offset, told = tonumber(found[1] or '0'), tonumber(found[2] or '0'), ARGV[3] ~= ''
if seq > tonumber(ARGV[5]) or offset > tonumber(ARGV[6]) then
  return {'beyond', found[1], found[2]}
end
-- What this owner was told of is gone: its delta would be put on a state that it does not belong to.
if told and (seq < tonumber(ARGV[3]) or offset < tonumber(ARGV[4])) then
  return {'behind', found[1] or '0', found[2] or '0'}
end
-- Ours, and kept before; only the answer was lost. The record may change where the position does not, as when a control record was accepted.
if found[2] and offset == tonumber(ARGV[6]) and ARGV[4] ~= ARGV[6] and found[6] == ARGV[8] then
  return {'kept'}
end
if ARGV[14] ~= '' and (found[5] ~= ARGV[14] or redis.call('SCARD', KEYS[4]) ~= tonumber(ARGV[15])) then
  return {'unstaged'}
end

-- From here on nothing is refused. Should a command fail all the same, the mark stays and nobody takes the half for the whole.
redis.call('HSET', KEYS[1], 'torn', ARGV[9])
if ARGV[14] ~= '' then
  for _, id in ipairs(redis.call('SMEMBERS', KEYS[4])) do
    redis.call('RENAME', ARGV[13] .. id, ARGV[12] .. id)
    redis.call('ZADD', KEYS[2], 0, id)
  end
  redis.call('UNLINK', KEYS[4])
  redis.call('HDEL', KEYS[1], 'stage')
end
for i = 5, #KEYS do
  local at = 16 + (i - 5) * 6
  local fields = redis.call('HSET', KEYS[i], 'seq', ARGV[5], 'transactions', ARGV[at], 'amount_mean', ARGV[at + 1], 'home_department', ARGV[at + 2],
    'last_event', ARGV[at + 3], 'alerts', ARGV[at + 4], 'state', ARGV[at + 5])
  -- Fields that were not there before: a new user.
  if fields > 0 then
    redis.call('ZADD', KEYS[2], 0, string.sub(KEYS[i], #ARGV[12] + 1))
  end
end
for i = 16 + (#KEYS - 4) * 6, #ARGV do
  redis.call('UNLINK', ARGV[12] .. ARGV[i])
  redis.call('ZREM', KEYS[2], ARGV[i])
end
local ids, known = ARGV[11], 0
-- Those of a checkpoint whose answer was lost come again.
while known < #ids and struct.unpack('<I8', ids, known + 17) < seq do
  known = known + 24
end
ids = string.sub(ids, known + 1)
local total = tonumber(found[3] or '0')
if #ids > 0 then
  total = total + #ids / 24
  -- The number of an entry is that of its last id, so that what lies beyond the horizon is told by it.
  redis.call('XADD', KEYS[3], string.format('%.0f-0', total), 'ids', ids)
  local first = total - tonumber(ARGV[10]) + 1
  if first > 1 then
    redis.call('XTRIM', KEYS[3], 'MINID', '=', string.format('%.0f', first))
  end
end
redis.call('HSET', KEYS[1], 'next_seq', ARGV[5], 'next_offset', ARGV[6], 'state_epoch', ARGV[7], 'record', ARGV[8], 'updated_at', ARGV[9],
  'users', redis.call('ZCARD', KEYS[2]), 'ids', string.format('%.0f', total))
redis.call('HDEL', KEYS[1], 'torn')
return {'kept'}
