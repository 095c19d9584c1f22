--- Closes the prepared statements of a database engine (util.sql) after a failure.
--
-- LuaDBI leaves a statement that failed as it is. Under SQLite its next use fails, too, whatever has been mended
-- meanwhile, and so does every commit while it is not closed.

return function (engine)
	for _, statement in pairs(engine.prepared or {}) do pcall(statement.close, statement); end
	engine.prepared = {};
end
