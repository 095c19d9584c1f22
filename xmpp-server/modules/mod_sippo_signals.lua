--- A signal is handled between two pieces of work.
--
-- Prosody 0.12 runs a signal's handler at the next instruction, in the middle of whatever is at work: a stop has found
-- a session half taken apart, failed at it, and left what comes behind undone. Here the handler waits for the event
-- loop's next turn; of the same signal several that wait are one, or a stop would come after all the reloads that were
-- asked for before it. Prosody 13 reads its signals in the event loop already.

module:set_global();

local signal = require "util.signal";

local interval = 0.1; -- seconds between two looks; a signal ends the wait of the event loop, but is not told to it

if not signal.signalfd then
	local handle = signal.signal;
	local raised = {}; -- the names of those that wait, in their order, and by name what is to be called

	--- Before the handlers of mod_posix, which come with the event loop's first turn.
	function signal.signal(name, handler, ...)
		return handle(name, function (...)
			local waiting = raised;
			if waiting[name] then return; end
			local arguments = table.pack(...);
			waiting[name] = function () handler(table.unpack(arguments, 1, arguments.n)); end;
			waiting[#waiting + 1] = name;
		end, ...);
	end

	module:add_timer(interval, function ()
		local due = raised;
		raised = {};
		for _, name in ipairs(due) do module:add_timer(0, due[name]); end -- by itself: one that throws ends its own timer
		return interval;
	end);

	function module.unload() signal.signal = handle; end
end
