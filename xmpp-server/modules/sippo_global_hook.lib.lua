--- Hooks a global event, so that what the handler throws is logged and keeps nobody else from being called.
--
-- Global events are not a stanza's: behind ours stand Prosody's own handlers, which reload certificates, close sessions
-- or end the server.

return function (event_name, handler, priority)
	module:hook_global(event_name, function (event)
		local ok, result = xpcall(handler, debug.traceback, event);
		if ok then return result; end
		module:log("error", "%s failed at %s; mend what it says, then send SIGHUP: %s", module.name, event_name, result);
	end, priority);
end
