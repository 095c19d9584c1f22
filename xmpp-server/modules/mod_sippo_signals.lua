--- A signal is handled between two pieces of work.
--
-- Prosody 0.12 runs a signal's handler at the next instruction, in the middle of whatever is at work: a stop has found
-- a session half taken apart, failed at it, and left what comes behind undone. Here the handler waits for the event
-- loop's next turn. Prosody 13 reads its signals in the event loop already.

module:set_global();

local signal = require "util.signal";

local interval = 0.1; -- seconds between two looks; a signal ends the wait of the event loop, but is not told to it

if not signal.signalfd then
	local handle = signal.signal;
	local raised = {};

	--- Before the handlers of mod_posix, which come with the event loop's first turn.
	function signal.signal(name, handler, ...)
		return handle(name, function (...)
			local arguments = table.pack(...);
			raised[#raised + 1] = function () handler(table.unpack(arguments, 1, arguments.n)); end;
		end, ...);
	end

	module:add_timer(interval, function ()
		local due = raised;
		raised = {};
		for _, handler in ipairs(due) do module:add_timer(0, handler); end -- by itself: one that throws ends its own timer
		return interval;
	end);

	function module.unload() signal.signal = handle; end
end
