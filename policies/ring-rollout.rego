package ring_rollout

default canaries := []

canaries := data.canaries

default canary_ous := []

canary_ous := data.canary_ous

default canary_tags := {}

canary_tags := data.canary_tags

default environment_tag := "environment"

environment_tag := data.environment_tag

default rings := []

rings := data.rings

decision := {"proceed": canary_lane} if {
	canary
} else := {"skip": "tags-unreadable"} if {
	input.account.tags_unreadable
} else := {"proceed": by_tag[0]} if {
	true
} else := {"proceed": by_ou[0]} if {
	true
} else := {"proceed": data.default_lane} if {
	true
} else := {"skip": "no-ring"}

canary_lane := data.lanes[0]

canary if input.account.id in canaries

canary if {
	some unit in input.account.organizational_units
	some name in [unit.id, unit.name]
	name in canary_ous
}

canary if {
	some key, value in canary_tags
	input.account.tags[key] == value
}

by_tag := [ring.lane |
	some ring in rings
	input.account.tags[environment_tag] in ring.environments
]

by_ou := [ring.lane |
	some ring in rings
	some unit in input.account.organizational_units
	some name in [unit.id, unit.name]
	name in ring.ous
]
