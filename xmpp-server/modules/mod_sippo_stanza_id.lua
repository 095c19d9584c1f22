--- Clients do not say under which id a message is archived (XEP-0359, section 4).
--
-- `<stanza-id by='…'/>` is said by the archive that `by` names. mod_mam takes one off that names its own user when it
-- archives; what it does not archive, and what comes by way of a room, would pass, and catching up from it fails.

local xmlns = "urn:xmpp:sid:0";

local function is_no_stanza_id(tag)
	if tag.name == "stanza-id" and tag.attr.xmlns == xmlns then return nil; end
	return tag;
end

-- Before anybody has looked at it
module:hook("pre-stanza", function (event)
	if event.stanza.name == "message" then event.stanza:maptags(is_no_stanza_id); end
end, 2000);
