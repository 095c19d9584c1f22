"""All that the server understands. Each area is a list of templates, which `expand` makes text of.

    {name}    an atom (atoms.py), or one of a production's alternatives
    {name*}   none to three of it
    {name?}   none or one
"""
