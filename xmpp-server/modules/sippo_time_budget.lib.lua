--- How much of the server's time somebody may still take: `sippo_user_time_share` (default 0.5) seconds of each second,
-- and `sippo_user_time_burst` (default 0.25) seconds at once.

local now = require "util.time".monotonic;
local new_cache = require "util.cache".new;

local share = module:get_option_number("sippo_user_time_share", 0.5);
local burst = module:get_option_number("sippo_user_time_burst", 0.25);

local budgets = new_cache(10000); -- whose: { left = seconds, at = when that was so }

local _M = {};

--- Of each second, how much comes to be had again.
_M.share = share;

--- Seconds that `user` may still take, below zero when there are none; what was taken is `spent` more.
function _M.spend(user, spent)
	local time, known = now(), budgets:get(user);
	if not known then
		known = { left = burst, at = time };
		budgets:set(user, known);
	end
	known.left = math.min(burst, known.left + (time - known.at) * share) - spent;
	known.at = time;
	return known.left;
end

return _M;
