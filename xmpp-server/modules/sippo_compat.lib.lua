-- What Prosody 0.12 and 13 do differently, behind one name each. Once 0.12 is no longer known to work here, what is
-- marked with it goes, and this file with the last of it.

local _M = {};

--- The status that an HTTP handler has answered with.
function _M.status_of(answer)
	return type(answer) == "table" and answer.code or answer; -- 0.12: a number in any case
end

--- LuaSec's own context in what core.certmanager makes. 0.12: it makes nothing else.
function _M.raw_tls_context(context)
	return type(context) == "table" and context._inner or context;
end

--- The table in which net.server looks for a server name's context. 0.12: it belongs to the listener.
function _M.sni_contexts(server)
	return type(server.tls_ctx) == "table" and server.tls_ctx._sni_contexts or server.hosts;
end

--- Whether mod_s2s lets others choose where it connects to. 0.12 does not.
_M.has_pre_connect = not prosody.version:match("^0%.12");

return _M;
