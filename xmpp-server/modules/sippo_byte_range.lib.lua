--- Ranges of bytes (RFC 9110, section 14).

--- The part of `length` bytes that the value of a Range header asks for.
-- @return the first and the last position; or false when it cannot be had (416); or nil when all of it is to be sent:
-- the header names another unit, or several ranges.
return function (header, length)
	local set = header:match("^[Bb][Yy][Tt][Ee][Ss]=(.*)$");
	if not set or set:find(",", 1, true) then return nil; end
	local first, last = set:match("^%s*(%d*)%-(%d*)%s*$");
	first, last = tonumber(first), tonumber(last);
	if first then
		last = math.min(last or math.huge, length - 1);
	elseif last then
		first, last = last > 0 and math.max(length - last, 0) or length, length - 1;
	end
	if not first or first > last then return false; end
	return math.tointeger(first), math.tointeger(last);
end
