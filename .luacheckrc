-- Lua inside Prosody 0.12 and 13 on Lua 5.4.
std = "lua54"
max_line_length = 120
codes = true
read_globals = {
	prosody = {
		other_fields = true,
		fields = { bare_sessions = { read_only = false, other_fields = true } },
	},
	module = {
		other_fields = true,
		fields = {
			environment = { read_only = false, other_fields = true },
			add_host = { read_only = false },
			load = { read_only = false },
			ready = { read_only = false },
			restore = { read_only = false },
			save = { read_only = false },
			unload = { read_only = false },
		},
	},
}
-- In a configuration file every option is a global, and hosts are declared by functions.
files["xmpp-server/prosody.cfg.lua"] = {
	allow_defined_top = true,
	ignore = { "131" },
	read_globals = { "Lua", "RunScript", "VirtualHost", "Component" },
}
