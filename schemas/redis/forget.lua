-- Removes what is kept of a partition but its owner, some users at a time: what counts goes first, so that what is left of it when
-- this is broken off counts for nothing.
-- KEYS[1] the checkpoint, KEYS[2] the index (sorted set of user ids), KEYS[3] the ids seen
-- ARGV[1] owner epoch, [2] owner, [3] prefix of users' keys, [4] how many to take away at most.
-- Answers {'left', how many are still there} or a refusal.
local no = refusal()
if no then
  return no
end
redis.call('HDEL', KEYS[1], 'next_seq', 'next_offset', 'state_epoch', 'record', 'users', 'ids', 'updated_at', 'torn', 'stage')
redis.call('UNLINK', KEYS[3])
for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, tonumber(ARGV[4]) - 1)) do
  redis.call('UNLINK', ARGV[3] .. id)
  redis.call('ZREM', KEYS[2], id)
end
return {'left', redis.call('ZCARD', KEYS[2])}
