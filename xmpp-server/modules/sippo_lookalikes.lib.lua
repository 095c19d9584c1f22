--- What a name looks like, so that names that look alike can be told from others (UTS 39, section 4).
--
-- Prosody is built with ICU as Debian builds it, and hands on its skeletons: of two names that look alike, in whatever
-- script, the skeletons are the same. Case and width are folded besides (nameprep), since `CAROL` is no other name to a
-- reader, and `i` counts as `l`, since a capital I looks like that. What is blank or invisible does not count. Where
-- Prosody is built without ICU a name of other characters than ASCII looks like anything: it has no skeleton.

local encodings = require "util.encodings";

local nameprep = encodings.stringprep.nameprep;

local ascii_lookalikes = { ["0"] = "o", ["1"] = "l", ["|"] = "l" };

--- For a Prosody without ICU.
local function ascii_skeleton(name)
	if name:find("[^\32-\126]") then return nil; end
	return (name:gsub(".", ascii_lookalikes):gsub("m", "rn"));
end

local skeleton = encodings.confusable and encodings.confusable.skeleton or ascii_skeleton;

-- Spaces, and characters that stringprep lets through and nobody sees: Hangul fillers (U+115F, U+1160), inherent vowels
-- of Khmer (U+17B4, U+17B5), the blank pattern of Braille (U+2800).
local blanks = { "%s", "\xE1\x85[\x9F\xA0]", "\xE1\x9E[\xB4\xB5]", "\xE2\xA0\x80" };

local function without_blanks(text)
	for _, blank in ipairs(blanks) do text = text:gsub(blank, ""); end
	return text;
end

--- Folds case, and what looks alike when case is folded; nil for what cannot be looked at.
local function fold(name)
	local lower = name and nameprep(name);
	local shape = lower and skeleton(lower);
	return shape and without_blanks((shape:gsub("i", "l")));
end

local _M = {};

--- The key of a canonical (lower-case) name.
function _M.key(name)
	return fold(skeleton(nameprep(name) or name));
end

--- The keys of a name as somebody has written it, with capitals: those look like other letters than the small ones.
-- None for a name that cannot be looked at.
function _M.keys(name)
	local folded, seen = _M.key(name), fold(skeleton(name));
	if not (folded and seen) then return {}; end
	return { folded, folded ~= seen and seen or nil };
end

return _M;
