-- One of sysbench's own OLTP workloads, named by $WORKLOAD, whose threads have been through $WARM transactions before
-- the clock starts: their sessions, in the proxy as in the server, are open and known then.
require("oltp_" .. os.getenv("WORKLOAD"))

local log_in = thread_init

function thread_init()
   log_in()
   for _ = 1, tonumber(os.getenv("WARM")) do
      local done, why = pcall(event)
      -- Another thread's lock: such errors are ignored, but only sysbench's own loop knows that.
      if not done then
         if type(why) ~= "table" then
            error(why, 0)
         end
         con:query("ROLLBACK")
      end
   end
end
