import { createHash } from 'node:crypto';

/**
 * What Redis does in one step. Each script that writes checks the epoch first, in the same step, so that a server that was taken over
 * can change nothing any more, however late its commands arrive. A script refuses with FENCED or CORRUPT as the first word; an LSN is
 * a decimal string.
 */
export interface RedisScript {
  readonly lua: string;
  readonly sha: string;
}

/** The format of all keys; goes up with every change that an older version could not read. */
export const KEYS_FORMAT = '1';

/**
 * What the scripts of a segment begin with: KEYS[1] is its state, ARGV[1] the epoch of whoever asks. A state with a lower epoch is
 * one that Redis forgot to raise (a restart that lost its last second): whoever asks has the higher one, so it counts.
 */
const CHECKED = `
local state = redis.call('HMGET', KEYS[1], 'epoch', 'head', 'trimmed')
if not state[1] or not state[2] or not state[3] then
  return redis.error_reply('CORRUPT ' .. KEYS[1] .. ' is gone')
end
if tonumber(state[1]) > tonumber(ARGV[1]) then
  return redis.error_reply('FENCED ' .. state[1])
end
if state[1] ~= ARGV[1] then redis.call('HSET', KEYS[1], 'epoch', ARGV[1]) end
local head = state[2]
`;

/**
 * KEYS: state, journal. ARGV: epoch, LSN before the entry's first, its last LSN, its events, their checksum. What is there already, from an attempt
 * whose answer was lost, is left as it is, once it has proved to be the same; the write of the head then moves this connection's
 * replication offset, which a WAIT behind it needs.
 */
export const APPEND = script(`${CHECKED}
if head == ARGV[2] then
  if not redis.call('XADD', KEYS[2], 'NOMKSTREAM', ARGV[3] .. '-0', 'events', ARGV[4], 'crc32c', ARGV[5]) then
    return redis.error_reply('CORRUPT ' .. KEYS[2] .. ' is gone')
  end
  redis.call('HSET', KEYS[1], 'head', ARGV[3])
  return 1
end
if tonumber(ARGV[3]) <= tonumber(head) then
  local there = redis.call('XRANGE', KEYS[2], ARGV[3] .. '-0', ARGV[3] .. '-0')
  if there[1] and there[1][2][2] == ARGV[4] then
    redis.call('HSET', KEYS[1], 'head', head)
    return 0
  end
  return redis.error_reply('CORRUPT ' .. KEYS[2] .. ' ends at LSN ' .. head .. ', and has other events than those up to ' .. ARGV[3])
end
return redis.error_reply('CORRUPT ' .. KEYS[2] .. ' ends at LSN ' .. head .. ', and the next events follow ' .. ARGV[2])
`);

/** KEYS: state, journal. ARGV: epoch, LSN up to which no event is needed. Returns the entries removed. */
export const TRIM = script(`${CHECKED}
local upTo = tonumber(ARGV[2])
if upTo > tonumber(head) then upTo = tonumber(head) end
if upTo <= tonumber(state[3]) then return 0 end
redis.call('HSET', KEYS[1], 'trimmed', string.format('%.0f', upTo))
return redis.call('XTRIM', KEYS[2], 'MINID', '=', string.format('%.0f-0', upTo + 1))
`);

/** KEYS: state, snapshots, the snapshot. ARGV: epoch, LSN, bytes. */
export const WRITE_SNAPSHOT = script(`${CHECKED}
redis.call('SET', KEYS[3], ARGV[4])
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[3])
return 1
`);

/** KEYS: state, snapshots, the snapshot. ARGV: epoch, LSN, LSN and copy. */
export const REMOVE_SNAPSHOT = script(`${CHECKED}
redis.call('ZREM', KEYS[2], ARGV[3])
return redis.call('DEL', KEYS[3])
`);

/**
 * KEYS: state, journal, snapshots. ARGV: epoch, '1' while the store is being made. Makes the epoch the segment's, and the segment's
 * keys where they are still to be made. The empty stream is there from the start, so that a missing one is known to be lost.
 */
export const RAISE_EPOCH = script(`
if redis.call('EXISTS', KEYS[1]) == 0 then
  if ARGV[2] ~= '1' or redis.call('EXISTS', KEYS[2], KEYS[3]) > 0 then
    return redis.error_reply('CORRUPT ' .. KEYS[1] .. ' is gone')
  end
  redis.call('XGROUP', 'CREATE', KEYS[2], 'made', '0', 'MKSTREAM')
  redis.call('XGROUP', 'DESTROY', KEYS[2], 'made')
  redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'head', '0', 'trimmed', '0')
end
${CHECKED}
return 1
`);

/**
 * KEYS: meta. ARGV: '1' to make a store where there is none, then format, id, segments, secret in hexadecimal. Returns format, id,
 * segments, secret, whether it is made to the end, and whether this call began it.
 */
export const IDENTIFY = script(`
local fresh = 0
if ARGV[1] == '1' and redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'format', ARGV[2], 'id', ARGV[3], 'segments', ARGV[4], 'secret', ARGV[5], 'epoch', '0', 'made', '0')
  fresh = 1
end
local found = redis.call('HMGET', KEYS[1], 'format', 'id', 'segments', 'secret', 'made')
found[6] = fresh
return found
`);

/** KEYS: meta. All segments are made. */
export const FINISH_MAKING = script(`
if redis.call('EXISTS', KEYS[1]) == 0 then return redis.error_reply('CORRUPT ' .. KEYS[1] .. ' is gone') end
return redis.call('HSET', KEYS[1], 'made', '1')
`);

/**
 * KEYS: meta, owner. ARGV: who asks, ms of the lease. Returns the new epoch, or the present owner and the ms that it has left. The
 * clock in the epoch keeps it unique also when a restart or a failover made Redis forget the last one that it gave.
 */
export const TAKE_LEASE = script(`
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch then return redis.error_reply('CORRUPT ' .. KEYS[1] .. ' is gone') end
local time = redis.call('TIME')
if not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return { '', redis.call('GET', KEYS[2]), redis.call('PTTL', KEYS[2]) }
end
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local raised = string.format('%.0f', math.max(tonumber(epoch) + 1, now))
redis.call('HSET', KEYS[1], 'epoch', raised)
return { raised }
`);

/**
 * KEYS: meta, owner. ARGV: who asks, ms of the lease, its epoch. A lease that ran out while its owner was stopped or cut off is taken
 * up again if nobody else had the store meanwhile. Returns whose it is.
 */
export const RENEW_LEASE = script(`
local owner = redis.call('GET', KEYS[2])
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch then return redis.error_reply('CORRUPT ' .. KEYS[1] .. ' is gone') end
if tonumber(epoch) > tonumber(ARGV[3]) then return redis.error_reply('FENCED ' .. epoch) end
if owner and owner ~= ARGV[1] then return owner end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
`);

/** KEYS: owner. ARGV: who lets go. */
export const GIVE_LEASE_BACK = script(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
`);

/** KEYS: meta. ARGV: epoch, boot id, ms of the run's offset. */
export const NOTE_RUN = script(`
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch then return redis.error_reply('CORRUPT ' .. KEYS[1] .. ' is gone') end
if tonumber(epoch) > tonumber(ARGV[1]) then return redis.error_reply('FENCED ' .. epoch) end
return redis.call('HSET', KEYS[1], 'runBootId', ARGV[2], 'runOffsetMs', ARGV[3])
`);

function script(lua: string): RedisScript {
  return { lua, sha: createHash('sha1').update(lua).digest('hex') };
}
