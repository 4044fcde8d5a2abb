-- Puts some accounts of a large checkpoint of patterns aside, where nobody reads them until patterns_commit.lua takes them over.
-- KEYS[1] the checkpoint, KEYS[2] accounts that came in parts (hash: name -> state)
-- ARGV[1] owner epoch, [2] owner, [3] name of the stage, [4] '1' where this begins it, [5…] name and state of each account, '' for one that
-- is forgotten.
-- Answers {'staged'}, {'unstaged'} where another stage has begun since, or a refusal.
local no = refusal()
if no then
  return no
end
if ARGV[4] == '1' then
  redis.call('UNLINK', KEYS[2])
  redis.call('HSET', KEYS[1], 'stage', ARGV[3])
elseif redis.call('HGET', KEYS[1], 'stage') ~= ARGV[3] then
  return {'unstaged'}
end
for i = 5, #ARGV, 2 do
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
end
return {'staged'}
