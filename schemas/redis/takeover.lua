-- Raises the owner epoch of a partition by one, so that nobody else can change it from now on, and says where it stands.
-- KEYS[1] the checkpoint; ARGV[1] owner, ARGV[2] now (microseconds).
-- Answers epoch, {next_seq, next_offset, state_epoch, record, users, torn}; false where there is no such field.
local epoch = redis.call('HINCRBY', KEYS[1], 'owner_epoch', 1)
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'taken_at', ARGV[2])
return {epoch, redis.call('HMGET', KEYS[1], 'next_seq', 'next_offset', 'state_epoch', 'record', 'users', 'torn')}
