-- One of sysbench's own OLTP workloads, named by $WORKLOAD, whose threads have been through $WARM transactions before
-- the clock starts: their sessions, in the proxy as in the server, are open and known then.
require("oltp_" .. os.getenv("WORKLOAD"))

local log_in = thread_init

function thread_init()
   log_in()
   for _ = 1, tonumber(os.getenv("WARM")) do
      event()
   end
end
