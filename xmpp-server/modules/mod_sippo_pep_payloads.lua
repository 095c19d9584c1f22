--- What modules that store in PEP cannot digest is refused before they see it.
--
--   * mod_vcard_legacy throws at a photo that is no base64 (XEP-0054);
--   * mod_bookmarks takes an item without <conference/> (XEP-0402), and throws from then on whenever bookmarks are set
--     in private storage.

local base64 = require "util.encodings".base64;
local st = require "util.stanza";

local xmlns_bookmarks = "urn:xmpp:bookmarks:1";

local function refuse(event, text)
	event.origin.send(st.error_reply(event.stanza, "modify", "bad-request", text));
	return true;
end

module:hook("iq-set/self/vcard-temp:vCard", function (event)
	for photo in event.stanza.tags[1]:childtags("PHOTO") do
		local data = photo:get_child_text("BINVAL");
		if data and not base64.decode(data) then return refuse(event, "BINVAL of PHOTO is no base64"); end
	end
end, 10);

module:hook("iq/bare/http://jabber.org/protocol/pubsub:pubsub", function (event)
	local publish = event.stanza.tags[1]:get_child("publish");
	if event.stanza.attr.type ~= "set" or not publish or publish.attr.node ~= xmlns_bookmarks then return; end
	for item in publish:childtags("item") do
		if not item:get_child("conference", xmlns_bookmarks) then
			return refuse(event, "A bookmark is an item with <conference/>");
		end
	end
end, 10);
