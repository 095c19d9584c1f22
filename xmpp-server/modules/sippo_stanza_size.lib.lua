--- How large a stanza is, without writing it out.

--- Bytes of the names, attributes and texts of an element with all that is in it.
local function size(element)
	local bytes = #element.name;
	for name, value in pairs(element.attr) do
		bytes = bytes + #name + (type(value) == "string" and #value or #tostring(value)); -- mod_roster has numbers there
	end
	for _, child in ipairs(element) do
		bytes = bytes + (type(child) == "string" and #child or size(child));
	end
	return bytes;
end

return size;
