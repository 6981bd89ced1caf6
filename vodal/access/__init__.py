"""Who asks, and what they may see.

- `identity`  who asks: a name and groups
- `rules`     the rules of collections, and the rights that they give to somebody
- `asking`    who asks and with what rights, as it goes along with a request
- `seen`      resolvers and catalogues that know no more than somebody may see
"""
