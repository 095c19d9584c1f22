--- What is wrong with this server's environment (part of prosody.cfg.lua), seen at start, before anything serves.
--
-- Prosody logs a port that is taken, a certificate that it cannot read or that it is run by root, and goes on without.
-- Each function returns nil, or a text with the variable and what to do.

local lfs = require "lfs";
local pposix = require "util.pposix";
local socket = require "socket";
local ssl = require "ssl";

local prefix = "SIPPO_XMPP_";

local lib = {};

function lib.root(may_be_root)
	if pposix.getuid() == 0 and not may_be_root then
		return prefix.."RUN_AS_ROOT: root runs this server: have another user run it, or set this variable to 1 (containers, "
			.."trials)";
	end
end

function lib.folder(path)
	if lfs.attributes(path, "mode") ~= "directory" then
		return prefix.."DATA: there is no folder "..path..": make it, writable for Prosody's user";
	end
	local probe = path.."/.writable";
	local file, err = io.open(probe, "w");
	if not file then
		return prefix.."DATA: nothing can be written there ("..err.."): make it writable for Prosody's user";
	end
	file:close();
	os.remove(probe);
end

--- `name` is the variable of the port.
function lib.port(name, interface, port)
	local listener, err = socket.bind(interface, port);
	if listener then
		listener:close();
		return;
	end
	return ("%s%s: %s:%d cannot be listened on (%s): end what listens there, or set this variable or %sINTERFACE to "
		.."something else"):format(prefix, name, interface, port, err, prefix);
end

function lib.certificate(certificate, key)
	for name, path in pairs { CERTIFICATE = certificate, KEY = key } do
		local file, err = io.open(path);
		if not file then
			return ("%s%s cannot be read (%s): make it readable for Prosody's user, or name another file")
				:format(prefix, name, err);
		end
		file:close();
	end
	local context, err = ssl.newcontext { mode = "server", protocol = "any", certificate = certificate, key = key };
	if not context then
		return ("%sCERTIFICATE %s, %sKEY %s: %s; give a certificate and its own key as PEM files")
			:format(prefix, certificate, prefix, key, err);
	end
end

--- How many letters are between two names (Levenshtein).
local function distance(a, b)
	local row = {};
	for j = 0, #b do row[j] = j; end
	for i = 1, #a do
		local diagonal = row[0];
		row[0] = i;
		for j = 1, #b do
			local cost = a:byte(i) == b:byte(j) and 0 or 1;
			diagonal, row[j] = row[j], math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost);
		end
	end
	return row[#b];
end

local function nearest(name, known)
	local best, best_distance = nil, 4;
	for candidate in pairs(known) do
		local d = distance(name, candidate);
		if d < best_distance or d == best_distance and best and candidate < best then best, best_distance = candidate, d; end
	end
	return best;
end

--- `known`: the names without the prefix, as keys. Those with another underscore are the functions' own.
function lib.names(known)
	local file = io.open("/proc/self/environ", "rb");
	if not file then return; end -- no Linux
	local text = file:read("*a");
	file:close();
	for entry in text:gmatch("[^%z]+") do
		local name = entry:match("^"..prefix.."([^_=][^=]*)=");
		if name and not known[name] then
			local meant = nearest(name, known);
			return ("%s%s is no variable of this server: unset it, or give it its right name%s"):format(prefix, name,
				meant and (" (%s%s?)"):format(prefix, meant) or "");
		end
	end
end

return lib;
