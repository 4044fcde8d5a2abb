-- Puts some users of a large checkpoint beside their present states, where nobody reads them until commit.lua exchanges the two.
-- KEYS[1] the checkpoint, KEYS[2] the staged users (set of ids), KEYS[3…] a hash each user
-- ARGV[1] owner epoch, [2] owner, [3] name of the stage, [4] prefix of staged users' keys, [5] next seq, [6…] six values each user:
-- transactions, amount_mean, home_department, last_event, alerts, state.
-- Answers {'staged'}, {'unstaged'} where another stage has begun since, or a refusal.
local no = refusal()
if no then
  return no
end
if redis.call('HGET', KEYS[1], 'stage') ~= ARGV[3] then
  return {'unstaged'}
end
for i = 3, #KEYS do
  local at = 6 + (i - 3) * 6
  redis.call('HSET', KEYS[i], 'seq', ARGV[5], 'transactions', ARGV[at], 'amount_mean', ARGV[at + 1], 'home_department', ARGV[at + 2],
    'last_event', ARGV[at + 3], 'alerts', ARGV[at + 4], 'state', ARGV[at + 5])
  redis.call('SADD', KEYS[2], string.sub(KEYS[i], #ARGV[4] + 1))
end
return {'staged'}
