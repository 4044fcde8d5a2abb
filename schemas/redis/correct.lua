-- Puts users of one partition right, where its checkpoint still stands where they were compared.
-- KEYS[1] the checkpoint, KEYS[2] the index (sorted set of user ids), KEYS[3…] a hash each user to be written
-- ARGV[1] next seq and [2] next offset of the checkpoint, [3] prefix of users' keys, [4] the partition's own record, '' to leave it,
-- [5…] six values each user: transactions, amount_mean, home_department, last_event, alerts, state; then the ids of users to be removed.
-- Answers {'kept'} or {'moved'}.
local found = redis.call('HMGET', KEYS[1], 'next_seq', 'next_offset', 'torn', 'stage')
if found[1] ~= ARGV[1] or found[2] ~= ARGV[2] or found[3] or (found[4] and found[4] ~= '') then
  return {'moved'}
end
for i = 3, #KEYS do
  local at = 5 + (i - 3) * 6
  -- Another program may have put something else there.
  if redis.call('TYPE', KEYS[i])['ok'] ~= 'hash' then
    redis.call('UNLINK', KEYS[i])
  end
  redis.call('HSET', KEYS[i], 'seq', ARGV[1], 'transactions', ARGV[at], 'amount_mean', ARGV[at + 1], 'home_department', ARGV[at + 2],
    'last_event', ARGV[at + 3], 'alerts', ARGV[at + 4], 'state', ARGV[at + 5])
  redis.call('ZADD', KEYS[2], 0, string.sub(KEYS[i], #ARGV[3] + 1))
end
for i = 5 + (#KEYS - 2) * 6, #ARGV do
  redis.call('UNLINK', ARGV[3] .. ARGV[i])
  redis.call('ZREM', KEYS[2], ARGV[i])
end
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[1], 'record', ARGV[4])
end
redis.call('HSET', KEYS[1], 'users', redis.call('ZCARD', KEYS[2]))
return {'kept'}
