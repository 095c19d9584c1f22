--- What a client says of a file that it uploads (XEP-0363), before any of it gets into a URL, a header or a store.

local _M = {};

local max_name = 255; -- bytes, as file systems have it
local max_type = 255;

local token = "[%w!#$%%&'*+%-.^_`|~]+"; -- RFC 9110, section 5.6.2
local name_and_type = "^"..token.."/"..token.."()";

--- Position behind the quoted string (RFC 9110, section 5.6.4) that begins at `from`, or nil.
local function skip_quoted(text, from)
	local position = from + 1;
	while true do
		local special, at = text:match('^[\t !#-[%]^-~\x80-\xff]*(["\\])()', position);
		if special == '"' then return at; end
		if not special or not text:match("^[\t\x20-\x7e\x80-\xff]", at) then return nil; end
		position = at + 1;
	end
end

--- Whether `text` is a media type with its parameters (RFC 9110, section 8.3.1).
function _M.is_media_type(text)
	local position = #text <= max_type and text:match(name_and_type);
	while position and position <= #text do
		position = text:match("^[ \t]*;[ \t]*()", position);
		local value = position and text:match("^"..token.."=()", position);
		if value then
			position = text:sub(value, value) == '"' and skip_quoted(text, value) or text:match("^"..token.."()", value);
		elseif position and position <= #text and text:sub(position, position) ~= ";" then
			return false;
		end
	end
	return position and true or false;
end

--- Whether a file may have this name: something to see, no path, and nothing that a header or a terminal obeys.
local function is_name(name)
	return name ~= nil and name ~= "" and #name <= max_name and name ~= "." and name ~= ".."
		and not name:find("[%c/]") and not name:find("\xc2[\x80-\x9f]"); -- the second: U+0080 to U+009F
end

--- What is wrong with the attributes of a slot's request, for whoever sent it; nil if nothing is.
function _M.problem(attr)
	if not is_name(attr.filename) then
		return "Give the file a name of 1 to "..max_name.." bytes, without control characters and slashes";
	elseif not (attr.size and attr.size:match("^%d+$")) then
		return "Give the size in bytes as plain digits";
	elseif attr["content-type"] and not _M.is_media_type(attr["content-type"]) then
		return "Give the content type as a media type, like image/png (RFC 9110, section 8.3.1)";
	end
end

return _M;
