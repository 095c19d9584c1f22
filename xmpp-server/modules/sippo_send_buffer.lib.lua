--- What lies on a connection and was not sent yet, because the other side does not read or is slow.

--- Bytes that wait in `conn` (of net.server_epoll). Cheap as long as there are few writes.
return function (conn)
	local buffer = conn.writebuffer;
	if not buffer then return 0; end
	if type(buffer) == "string" then return #buffer; end
	if buffer.length then return buffer:length(); end -- util.dbuffer, since Prosody 13
	local bytes = 0;
	for _, data in ipairs(buffer) do bytes = bytes + #data; end
	return bytes;
end
