-- Answers what Prosody's own code, and our libraries for it, make of strings. For tests/fuzz.
--
-- Each line of the input is the name of a question and its arguments, separated by spaces; each line of the output is the
-- answer. Strings are hexadecimal behind an `x`; `-` is nil.
--
--     lua twins.lua PROSODY_LIBRARY MODULES

local library, modules = arg[1], arg[2];
package.path, package.cpath = library.."/?.lua;"..package.path, library.."/?.so;"..package.cpath;

local encodings = require "util.encodings";
local jid = require "util.jid";

local domain = dofile(modules.."/sippo_domain.lib.lua");
local lives = dofile(modules.."/sippo_lives.lib.lua");
local login_token = dofile(modules.."/sippo_login_token.lib.lua");

local stringprep, idna = encodings.stringprep, encodings.idna;

local questions = {
	nodeprep = stringprep.nodeprep;
	nameprep = stringprep.nameprep;
	resourceprep = stringprep.resourceprep;
	to_ascii = idna.to_ascii;
	to_unicode = idna.to_unicode;
	jid_prep = jid.prep;
	jid_unescape = jid.unescape;
	canonical_domain = function (given) return (domain.canonical(given)); end;
	life = function (text)
		local life = lives.parse(text);
		return life and life.epoch.."."..life.counter.."/"..life.id;
	end;
	is_newer = function (a, b)
		local one, other = lives.parse(a), lives.parse(b);
		if not one or not other then return nil; end
		return lives.is_newer(one, other) and "newer" or "not newer";
	end;
	verify = function (token, admin_token, user, host, now)
		local ok, why = login_token.verify(token, { login_token.derive_key(admin_token) }, user, host, tonumber(now));
		return ok and "good" or why;
	end;
};

local function decode(argument)
	return (argument:sub(2):gsub("..", function (digits) return string.char(tonumber(digits, 16)); end));
end

local function encode(answer)
	return answer and "x"..answer:gsub(".", function (byte) return ("%02x"):format(byte:byte()); end) or "-";
end

for line in io.lines() do
	local words = {};
	for word in line:gmatch("%S+") do words[#words + 1] = word; end
	local arguments = {};
	for i = 2, #words do arguments[i - 1] = decode(words[i]); end
	io.write(encode(questions[words[1]](table.unpack(arguments))), "\n");
	io.flush();
end
