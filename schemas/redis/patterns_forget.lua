-- Removes what is kept of patterns by account but their owner.
-- KEYS[1] the checkpoint, KEYS[2] the accounts, KEYS[3] accounts that came in parts; ARGV[1] owner epoch, [2] owner.
-- Answers {'kept', '0'} or a refusal.
local no = refusal()
if no then
  return no
end
redis.call('HDEL', KEYS[1], 'next_seq', 'next_offset', 'state_epoch', 'record', 'header', 'users', 'commits', 'updated_at', 'torn', 'stage')
redis.call('UNLINK', KEYS[2], KEYS[3])
return {'kept', '0'}
