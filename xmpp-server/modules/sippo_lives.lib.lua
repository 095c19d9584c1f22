--- A room's lives, and which of two is newer.
--
-- A life is written `epoch.counter/id`, two decimal numbers and an id; they are compared in that order, ids by bytes.

--- The life that a text says, or nil.
local function parse(text)
	local epoch, counter, id = (text or ""):match("^(%d+)%.(%d+)/(.+)$");
	return epoch and { epoch = epoch, counter = counter, id = id };
end

--- Numbers of any length without leading zeros: the longer one is the larger.
local function compare_numbers(a, b)
	if #a ~= #b then return #a - #b; end
	return a == b and 0 or a < b and -1 or 1;
end

--- As `<` would, but whatever the locale.
local function compare_bytes(a, b)
	for i = 1, math.min(#a, #b) do
		local difference = a:byte(i) - b:byte(i);
		if difference ~= 0 then return difference; end
	end
	return #a - #b;
end

--- Whether life `a` is newer than `b`.
local function is_newer(a, b)
	local difference = compare_numbers(a.epoch, b.epoch);
	if difference == 0 then difference = compare_numbers(a.counter, b.counter); end
	if difference == 0 then difference = compare_bytes(a.id, b.id); end
	return difference > 0;
end

return { parse = parse, is_newer = is_newer };
