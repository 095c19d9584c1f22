"""The stanza fuzzer: hostile clients against a live Prosody with our modules. `scripts/fuzz stanzas` runs it.

    places       who and what there is: tenants, users, rooms
    grammar/     all that the server understands, as templates, an area of the protocol in each file
    mutations    what makes it almost valid
    generator    the action at a position of a seed
    world        the server, and what nobody else may see
    wire, actor  a hostile client: sends actions, keeps account of what is due
    oracles      what must hold of everything that is received
    downloads    HTTP byte by byte
    pinger       another tenant, who must not wait
    round        one server, some thousand actions, all oracles
    minimise     the shortest list of actions that still shows a finding
    campaign     rounds for hours
"""
