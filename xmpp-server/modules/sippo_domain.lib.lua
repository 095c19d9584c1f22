--- The one spelling of a domain (part of mod_quobis_virtualhosts; prosody.cfg.lua loads it as a plain script).
--
-- A domain has an ASCII form (A-labels, `xn--bcher-kva.example`) and a Unicode form (U-labels, `bücher.example`,
-- RFC 5890), and dots of other scripts. Prosody takes each for a domain of its own: preparation leaves A-labels as they
-- are. JIDs have U-labels (RFC 7622, section 3.2), so a tenant's name is that, prepared.

local encodings = require "util.encodings";

local nameprep, idna = encodings.stringprep.nameprep, encodings.idna;

local _M = {};

--- The canonical form of a domain and its ASCII form. Nil if it is no domain, or has an A-label to which its U-label
-- does not lead back: some that only IDNA 2008 knows, preparation would make another domain of them.
function _M.canonical(given)
	local prepared = nameprep(given);
	local ascii = prepared and prepared ~= "" and idna.to_ascii(prepared);
	local canonical = ascii and nameprep(idna.to_unicode(prepared) or "");
	if not canonical or canonical == "" or idna.to_ascii(canonical) ~= ascii then return nil; end
	if ("."..canonical):find(".xn--", 1, true) then return nil; end
	return canonical, ascii;
end

return _M;
