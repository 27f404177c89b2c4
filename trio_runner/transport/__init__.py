"""Connections: typed links over WebSockets, dialling, listening. The only importer of trio_websocket."""
