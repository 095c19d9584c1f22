--- Login tokens: what a user shows instead of a password (RFC 7519, RFC 7515).
--
-- A token is a JWT signed with HS256 under a key derived from the admin token, so it can be checked here without
-- asking anybody. util.jwt is not used: it looks at no claim, not even `exp`.

local base64 = require "util.encodings".base64;
local hashes = require "util.hashes";
local json = require "util.json";

local max_bytes = 1023; -- what stringprep takes as a password
local key_info = "sippo-xmpp login token v1";
local no_salt = ("\0"):rep(32); -- RFC 5869, section 2.2: no salt is a hash's length of zeros

local lib = {};

local function base64url(bytes)
	return (base64.encode(bytes):gsub("[+/=]", { ["+"] = "-", ["/"] = "_", ["="] = "" }));
end

local function decode_object(text)
	local padded = text:gsub("[-_]", { ["-"] = "+", ["_"] = "/" })..("="):rep(-#text % 4);
	local bytes = base64.decode(padded);
	if not bytes then return nil; end
	local ok, value = pcall(json.decode, bytes);
	if ok and type(value) == "table" then return value; end
end

--- HKDF-SHA256 (RFC 5869) with an empty salt, for the 32 bytes of one hash block.
function lib.derive_key(admin_token)
	local pseudorandom_key = hashes.hmac_sha256(no_salt, admin_token);
	return hashes.hmac_sha256(pseudorandom_key, key_info.."\1");
end

local function is_signed(keys, signed, signature)
	local found = false;
	for _, key in ipairs(keys) do
		-- the encoded forms: what is equal only after decoding is not the token that was issued
		found = hashes.equals(base64url(hashes.hmac_sha256(key, signed)), signature) or found;
	end
	return found;
end

--- Checks a login token for the bare JID `user`@`host` at the time `now` (seconds; no leeway: the issuer's clock may
-- be behind ours by less than the token's life, never ahead in a way that matters).
-- @return true, or nil and the reason, fit for a log: it contains nothing of the token but what the check expected. A
-- third value is true when the token was this user's and good before.
function lib.verify(token, keys, user, host, now)
	if #token > max_bytes then
		return nil, "token is longer than "..max_bytes.." bytes";
	end
	local signed, header_part, claims_part, signature =
		token:match("^(([A-Za-z0-9_-]+)%.([A-Za-z0-9_-]+))%.([A-Za-z0-9_-]+)$");
	if not signed then
		return nil, "not a login token";
	elseif not is_signed(keys, signed, signature) then
		return nil, "signature does not match: signed with another key, or changed";
	end
	local header = decode_object(header_part);
	if not header or header.alg ~= "HS256" then
		return nil, "algorithm is not HS256";
	elseif header.crit ~= nil then -- RFC 7515, section 4.1.11: refuse what we do not understand
		return nil, "header has critical extensions";
	end
	local claims = decode_object(claims_part);
	if not claims then
		return nil, "claims are no JSON object";
	elseif type(claims.exp) ~= "number" or claims.exp ~= claims.exp or claims.exp == math.huge then
		return nil, "exp is missing or no number";
	elseif claims.sub ~= user.."@"..host then
		return nil, "token is another user's";
	elseif claims.aud ~= host then
		return nil, "token is for another domain";
	elseif claims.exp <= now then
		return nil, "token has expired", true;
	end
	return true;
end

return lib;
