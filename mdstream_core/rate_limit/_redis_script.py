"""The algorithm of `_algorithm.py` as a Lua script, which Redis runs in one step.

KEYS[1] is the packed state. ARGV: the operation, the limits (rate, burst, token rate, adaptive), the operation's own
three arguments, and the time (empty: the clock of Redis). Numbers are returned as text, as Redis truncates them.
"""

from mdstream_core.rate_limit import _algorithm

#: Seconds until the state of a limit that nobody uses is deleted.
_EXPIRY = 86_400

SCRIPT = f"""
local HUGE = math.huge
local FORMAT = '<dddddddddd'
local function number(text)
  if text == 'inf' then return HUGE end
  return tonumber(text)
end

local operation = ARGV[1]
local limit_rate, burst, token_rate = number(ARGV[2]), tonumber(ARGV[3]), number(ARGV[4])
local adaptive = ARGV[5] == '1'
local now
if ARGV[9] == '' then
  local time = redis.call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1e6
else
  now = tonumber(ARGV[9])
end

local updated, request_time, token_time, paused_until, rate, rate_time, peak, window, count, previous =
  0, 0, 0, 0, 0, 0, 0, 0, 0, 0
local data = redis.call('GET', KEYS[1])
if data and #data == {_algorithm.STATE_SIZE} then
  updated, request_time, token_time, paused_until, rate, rate_time, peak, window, count, previous =
    struct.unpack(FORMAT, data)
end

if updated > now + {_algorithm.MAX_CLOCK_STEP} then
  request_time, token_time, paused_until, rate, rate_time, peak, window, count, previous = 0, 0, 0, 0, 0, 0, 0, 0, 0
end

local function current_rate()
  if not adaptive or rate == 0 then return limit_rate end
  local growth = peak * {_algorithm.GROWTH}
  if limit_rate == HUGE then growth = math.max(growth, {_algorithm.MIN_GROWTH}) end
  return math.min(limit_rate, rate + growth * math.max(now - rate_time, 0))
end

local function save()
  data = struct.pack(
    FORMAT, updated, request_time, token_time, paused_until, rate, rate_time, peak, window, count, previous)
  redis.call('SET', KEYS[1], data, 'EX', {_EXPIRY})
end

local function text(value)
  if value == HUGE then return 'inf' end
  return string.format('%.17g', value)
end

if operation == 'slow_down' then
  local granted_at, retry_after = tonumber(ARGV[6]), tonumber(ARGV[7])
  updated = now
  paused_until = math.max(paused_until, now + math.min(retry_after, {_algorithm.MAX_PAUSE}))
  if granted_at > rate_time then
    peak = current_rate()
    if peak == HUGE then
      local elapsed = now - window
      peak = 0
      if elapsed < 2 then peak = count + previous * math.max(1 - elapsed, 0) end
      peak = math.max(peak, 1)
    end
    rate = math.max(peak * {_algorithm.DECREASE}, {_algorithm.MIN_RATE})
    rate_time = now
  end
  save()
  return {{}}
end

local tokens, correction, max_wait = tonumber(ARGV[6]), tonumber(ARGV[7]), number(ARGV[8])
updated = now
local present = current_rate()
local interval, token_interval = 1 / present, 1 / token_rate
local earliest = math.max(now, request_time)
token_time = token_time + correction * token_interval
local first_token = math.max(now, token_time)
local tolerance = math.max({_algorithm.TOKEN_BURST_SECONDS} - tokens * token_interval, 0)
local at = math.max(now, earliest - (burst - 1) * interval, first_token - tolerance, paused_until)
local granted = at - now <= max_wait
if granted then
  if at <= earliest then request_time = earliest + interval else request_time = at + burst * interval end
  token_time = first_token + tokens * token_interval
  if adaptive then
    local elapsed = at - window
    if elapsed >= 1 then
      if elapsed < 2 then previous, window = count, at - elapsed % 1 else previous, window = 0, at end
      count = 0
    end
    count = count + 1
  end
end
save()
return {{text(at - now), text(at), text(present), granted and '1' or '0'}}
"""
