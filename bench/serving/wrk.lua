-- POST pictures in turn; at the end, one line of JSON on standard output.
-- After `--`: PATH, CONTENT-TYPE, and files with bodies that are sent as they are.

local requests, turn = {}, 0

function init(arguments)
  local headers = { ["Content-Type"] = arguments[2] }
  for n = 3, #arguments do
    local file = assert(io.open(arguments[n], "rb"))
    table.insert(requests, wrk.format("POST", arguments[1], headers, file:read("*a")))
    file:close()
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "microseconds": %d, "p50": %g, "p99": %g, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout
  ))
end
