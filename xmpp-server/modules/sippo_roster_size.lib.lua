--- How large a roster is, and what an item of one may be.

local _M = {};

local max_name = 1023; -- bytes, as in a localpart (RFC 7622)
local max_groups = 50; -- of one item

local function size_of_item(jid, item)
	local bytes = #jid + #(item.name or "") + 32; -- about what is around them
	for group in pairs(item.groups or {}) do bytes = bytes + #group; end
	return bytes;
end

_M.size_of_item = size_of_item;

--- Bytes of a roster with the requests that wait in it. Requests may carry what they came in.
function _M.size(roster)
	local bytes = 0;
	for jid, item in pairs(roster) do
		if jid then bytes = bytes + size_of_item(jid, item); end
	end
	local metadata = roster[false] or {};
	for _, list in ipairs { metadata.pending or {}, metadata.approved or {} } do
		for jid, request in pairs(list) do bytes = bytes + #jid + 32 + (type(request) == "table" and 1024 or 0); end
	end
	return bytes;
end

--- What is wrong with an <item/> of a roster set; nil if nothing is.
function _M.problem(item)
	if #(item.attr.name or "") > max_name then
		return "Give the contact a name of at most "..max_name.." bytes";
	end
	local groups = 0;
	for group in item:childtags("group") do
		groups = groups + 1;
		if groups > max_groups then return "Put the contact into at most "..max_groups.." groups"; end
		if #(group:get_text() or "") > max_name then return "Give the group a name of at most "..max_name.." bytes"; end
	end
end

return _M;
