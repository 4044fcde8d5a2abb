-- Begins a checkpoint that comes in several parts: names it, and takes away some of what an earlier one left behind.
-- KEYS[1] the checkpoint, KEYS[2] the staged users (set of ids)
-- ARGV[1] owner epoch, [2] owner, [3] name of the stage, '' for none, [4] prefix of staged users' keys, [5] how many to take away at most.
-- Answers {'left', how many are still there} or a refusal.
local no = refusal()
if no then
  return no
end
redis.call('HSET', KEYS[1], 'stage', ARGV[3])
for _, id in ipairs(redis.call('SPOP', KEYS[2], ARGV[5])) do
  redis.call('UNLINK', ARGV[4] .. id)
end
return {'left', redis.call('SCARD', KEYS[2])}
