"""The console: a page on loopback that shows the local stack at work and lets one try it.

`__main__.py` is a process of the stack; `page/` is what the browser gets, without a build step.
"""

KEY_VARIABLE = "SIPPO_CONSOLE_KEY"
"""Environment variable: what the page has to show, another one with each run."""
