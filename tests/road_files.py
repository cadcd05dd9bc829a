"""CommonRoad files made up for tests."""


def bound(side, points):
    return f"<{side}>" + "".join(f"<point><x>{x}</x><y>{y}</y></point>" for x, y in points) + f"</{side}>"


def lane(number, start, more=""):
    left, right = [(start, 2), (start + 10, 2)], [(start, -2), (start + 10, -2)]
    return f'<lanelet id="{number}">{bound("leftBound", left)}{bound("rightBound", right)}{more}</lanelet>'


def state(tag, step, x, y=0.5, *, time="exact", value="exact"):
    number = {
        "exact": "<exact>{0}</exact>",
        "interval": "<intervalStart>{0}</intervalStart><intervalEnd>{1}</intervalEnd>",
    }
    return (
        f"<{tag}><position><point><x>{x}</x><y>{y}</y></point></position><orientation>{number[value].format(0.1, 0.3)}"
        f"</orientation><time>{number[time].format(step, step + 1)}</time>"
        f"<velocity>{number[value].format(4, 6)}</velocity></{tag}>"
    )


SHAPE = "<shape><rectangle><length>4.5</length><width>1.8</width></rectangle></shape>"


def obstacle(states, *, shape=SHAPE, tag="dynamicObstacle", role="", number=9, kind="car"):
    return f'<{tag} id="{number}">{role}<type>{kind}</type>{shape}{states}</{tag}>'


def moving(count=3, **kwargs):
    later = "".join(state("state", 5 + k, float(k)) for k in range(1, count))
    return obstacle(state("initialState", 5, 0.0, **kwargs) + f"<trajectory>{later}</trajectory>")


def document(body, *, version="2020a", step="0.1"):
    return f'<commonRoad commonRoadVersion="{version}" timeStepSize="{step}" benchmarkID="Test">{body}</commonRoad>'


LANES = lane(1, 0, '<successor ref="2"/>') + lane(2, 10, '<predecessor ref="1"/><trafficSignRef ref="50"/>')


def driving(places, *, first=0, number=9, kind="car"):
    """A dynamic obstacle that is at given places, one a step."""
    (x, y), *later = places
    states = "".join(state("state", first + step, *place) for step, place in enumerate(later, 1))
    start = state("initialState", first, x, y)
    return obstacle(f"{start}<trajectory>{states}</trajectory>", number=number, kind=kind)
