-- Sends signed pushes of new tags with wrk, and writes down what each is answered.
--
-- usage: wrk … -s load.lua URL -- FOLDER THREADS
--
-- FOLDER/body is a push of v1.0.0, FOLDER/signatures has a line for each push to
-- send: the number of its tag and its signature, since signing them here would
-- take most of the time. FOLDER/answers.N is what thread N was answered.
local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(args)
  local folder, among = args[1], tonumber(args[2])
  local file = assert(io.open(folder .. "/body", "rb"))
  push = file:read("*a")
  file:close()
  mine, sent = {}, 0
  local line = 0
  for text in io.lines(folder .. "/signatures") do
    if line % among == number then
      mine[#mine + 1] = text
    end
    line = line + 1
  end
  answers = assert(io.open(folder .. "/answers." .. number, "w"))
  answers:setvbuf("line")
end

function request()
  local tag, signature = mine[sent % #mine + 1]:match("^(%d+) (%S+)$")
  sent = sent + 1
  local body = push:gsub("v1%.0%.0", "v2.0." .. tag)
  return wrk.format("POST", nil, {
    ["Content-Type"] = "application/json",
    ["X-GitHub-Event"] = "push",
    ["X-GitHub-Delivery"] = string.format("00000000-0000-4000-8000-%012d", tonumber(tag)),
    ["X-Hub-Signature-256"] = signature,
  }, body)
end

function response(status, headers, body)
  answers:write(status, " ", headers["Retry-After"] or "-", " ", (body:gsub("[\r\n]", "")), "\n")
end
