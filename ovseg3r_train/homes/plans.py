"""What the rooms of a home hold and where, as data."""

from collections.abc import Mapping

from ovseg3r_train.homes.wishes import Plan, Wish

ANY_WAY = 3.1

SHELF_CLUTTER = (
    Wish("book/row", "in", count=(1, 5)),
    Wish("book|book/pile|box/small|cd case|storage bin|basket", "in", count=(0, 4), turn=0.3),
    Wish(
        "decoration|potted plant|picture/standing|candle|stuffed animal|speaker|container", "in", count=(0, 3), turn=0.4
    ),
)
TABLE_CLUTTER = (
    Wish(
        "cup|bottle|bowl|plate|book|paper|candle|tissue box|tray|water bottle|water pitcher",
        "on",
        count=(0, 4),
        turn=ANY_WAY,
    ),
    Wish("potted plant|decoration", "on", chance=0.5, turn=ANY_WAY),
)
DESK_THINGS = (
    Wish("monitor", "on back", chance=0.75, turn=0.15),
    Wish("keyboard", "on front", chance=0.7, turn=0.1),
    Wish("mouse", "on front", chance=0.7, turn=0.3),
    Wish("laptop", "on", chance=0.45, turn=0.4),
    Wish("lamp", "on back", chance=0.4, turn=0.6),
    Wish(
        "paper|book|book/pile|cup|telephone|headphones|water bottle|calendar|telephone/mobile",
        "on",
        count=(1, 5),
        turn=0.6,
    ),
    Wish("printer|speaker|tray|fan", "on", chance=0.3, turn=0.2),
    Wish("computer tower", "under", chance=0.6, turn=0.1),
    Wish("bin|trash can", "next to", chance=0.5),
    Wish("power strip", "under", chance=0.25, turn=0.4),
    Wish("office chair", "before", turn=0.5, things=(Wish("jacket|backpack|cushion", "on", chance=0.2, turn=0.5),)),
)
CARTON = (Wish("box|box/small|book", "on", chance=0.4, turn=0.3),)
SEAT = (Wish("cushion|clothes|book", "on", chance=0.15, turn=0.4),)
WINDOW = Wish(
    "window",
    "facade",
    chance=0.8,
    things=(
        Wish("windowsill", "below", chance=0.7),
        Wish("curtain", "beside", chance=0.45, count=(2, 2), alike=True),
        Wish("radiator", "below", chance=0.6, gap_m=0.12),
        Wish("blinds", "over", chance=0.25),
    ),
)
WALL_FITTINGS = (
    Wish("light switch", "hung", middle_m=(1.1, 1.2)),
    Wish("power outlet", "hung", count=(1, 2), middle_m=(0.25, 0.35)),
    Wish("fire alarm", "ceiling", chance=0.3),
)
WALL_DECORATION = (
    Wish("picture|poster", "hung", count=(0, 3)),
    Wish("clock", "hung", chance=0.35, middle_m=(1.7, 1.9)),
    Wish("mirror", "hung", chance=0.2),
)
LIGHTS = (Wish("ceiling light", "ceiling", chance=0.8),)

LIVING_ROOM = Plan(
    area_m2=(13.0, 22.0),
    weight=3.0,
    wishes=(
        WINDOW,
        Wish(
            "couch|couch|couch|couch/corner",
            "wall",
            clear_m=0.6,
            things=(
                Wish(
                    "coffee table",
                    "before",
                    gap_m=0.4,
                    chance=0.85,
                    things=(*TABLE_CLUTTER, Wish("mat", "lying", chance=0.5)),
                ),
                Wish("cushion", "on back", count=(0, 3), turn=0.3),
                Wish("blanket|stuffed animal|book", "on", chance=0.35, turn=0.5),
                Wish(
                    "end table",
                    "next to",
                    chance=0.5,
                    things=(Wish("lamp|potted plant|book/pile|cup|telephone", "on", count=(1, 2)),),
                ),
                Wish("lamp/floor|fan/floor", "next to", chance=0.3),
                Wish("picture|poster|mirror", "above", chance=0.6, gap_m=0.3),
            ),
        ),
        Wish(
            "tv stand",
            "wall",
            clear_m=0.5,
            chance=0.75,
            things=(
                Wish("tv", "on", turn=0.05),
                Wish("speaker|decoration|picture/standing", "on", count=(0, 2), turn=0.2),
                Wish("cd case|book/row|basket", "in", count=(0, 2)),
            ),
        ),
        Wish(
            "fireplace",
            "wall",
            clear_m=0.6,
            chance=0.15,
            things=(Wish("candle|picture/standing|clock", "on", count=(0, 3)),),
        ),
        Wish("piano", "wall", clear_m=0.7, chance=0.12),
        Wish("armchair|sofa chair", "corner", count=(0, 2), alike=True, clear_m=0.3, things=SEAT),
        Wish("bookshelf|shelf", "wall", clear_m=0.4, chance=0.65, things=SHELF_CLUTTER),
        Wish(
            "cabinet|dresser",
            "wall",
            clear_m=0.4,
            chance=0.4,
            things=(Wish("decoration|lamp|potted plant|book/pile|candle|bowl", "on", count=(1, 4)),),
        ),
        Wish("ottoman|stool", "anywhere", chance=0.35, turn=ANY_WAY),
        Wish("plant", "corner", count=(0, 2), turn=ANY_WAY),
        Wish("decoration/floor|guitar|basket|divider", "corner", chance=0.35),
        Wish("tv/wall", "hung", chance=0.15, middle_m=(1.3, 1.5)),
        *WALL_DECORATION,
        *WALL_FITTINGS,
        *LIGHTS,
        Wish("backpack|bag|ball|paper bag|stuffed animal|luggage", "anywhere", count=(0, 2), turn=ANY_WAY),
        Wish("radiator", "hung", chance=0.3, middle_m=(0.5, 0.55)),
    ),
)

BEDROOM = Plan(
    area_m2=(10.0, 17.0),
    weight=3.0,
    wishes=(
        WINDOW,
        Wish(
            "bed|bed|bed|bed/single",
            "wall",
            clear_m=0.4,
            things=(
                Wish("pillow", "on back", count=(1, 2), turn=0.15),
                Wish("blanket|clothes|towel", "on front", chance=0.6, turn=0.5),
                Wish("stuffed animal|book|laptop|backpack|clothes|purse", "on", count=(0, 2), turn=1.5),
                Wish(
                    "nightstand|nightstand|end table",
                    "next to",
                    count=(1, 2),
                    alike=True,
                    things=(
                        Wish("lamp", "on", chance=0.8),
                        Wish(
                            "alarm clock|book|cup|tissue box|telephone/mobile|water bottle|candle",
                            "on",
                            count=(0, 2),
                            turn=0.6,
                        ),
                    ),
                ),
                Wish("picture|poster", "above", chance=0.4, gap_m=0.35),
                Wish("storage bin|shoe|suitcase", "under", chance=0.3),
            ),
        ),
        Wish(
            "wardrobe",
            "wall",
            clear_m=0.5,
            chance=0.75,
            things=(Wish("box|suitcase|storage container", "on", chance=0.4),),
        ),
        Wish(
            "dresser",
            "wall",
            clear_m=0.5,
            chance=0.6,
            things=(
                Wish(
                    "decoration|lamp|tv|picture/standing|bottle|stuffed animal|purse|hat|container",
                    "on",
                    count=(1, 4),
                    turn=0.3,
                ),
                Wish("mirror|picture", "above", chance=0.5, gap_m=0.2),
            ),
        ),
        Wish("desk", "wall", clear_m=0.7, chance=0.35, things=DESK_THINGS),
        Wish("bookshelf|shelf|shelf/low|storage organizer", "wall", clear_m=0.3, chance=0.45, things=SHELF_CLUTTER),
        Wish("bed/crib", "wall", clear_m=0.4, chance=0.08, things=(Wish("stuffed animal", "on"),)),
        Wish(
            "armchair|chair|sofa chair|bench",
            "corner",
            chance=0.4,
            things=(Wish("clothes|jacket|backpack|cushion", "on", chance=0.5, turn=0.5),),
        ),
        Wish(
            "laundry hamper|laundry basket|basket",
            "corner",
            chance=0.4,
            things=(Wish("clothes|towel", "in", chance=0.5),),
        ),
        Wish("plant|guitar|fan/floor|mattress", "corner", chance=0.3),
        Wish("mat", "lying", chance=0.4),
        Wish("coat rack|shelf/wall", "hung", chance=0.25),
        Wish("clothes/hung", "hung", chance=0.15),
        Wish("shoe", "anywhere", count=(0, 2), turn=0.6),
        Wish("clothes|bag|purse|suitcase|dumbbell|ball|headphones", "anywhere", count=(0, 2), turn=ANY_WAY),
        *WALL_DECORATION,
        *WALL_FITTINGS,
        Wish("ceiling light|fan/ceiling", "ceiling", chance=0.85),
    ),
)

KITCHEN_TOP = (
    Wish("stove/top", "on", chance=0.12),
    Wish("microwave|toaster oven|coffee maker|toaster|coffee kettle|dish rack|scale", "on", count=(0, 1), turn=0.1),
    Wish("bowl|bottle|cup|plate|paper towel roll|container|tray|water pitcher|box/small", "on", count=(0, 3), turn=0.6),
    Wish("kitchen cabinet/wall", "above", chance=0.6, gap_m=0.55),
)
KITCHEN = Plan(
    area_m2=(8.0, 15.0),
    weight=2.0,
    wishes=(
        WINDOW,
        Wish(
            "sink/kitchen",
            "wall",
            clear_m=0.7,
            things=(
                Wish(
                    "kitchen cabinet",
                    "next to",
                    clear_m=0.5,
                    things=(
                        *KITCHEN_TOP,
                        Wish(
                            "stove",
                            "next to",
                            clear_m=0.6,
                            chance=0.9,
                            things=(
                                Wish("range hood", "above", chance=0.8, gap_m=0.65),
                                Wish("coffee kettle|container", "on", chance=0.3),
                            ),
                        ),
                    ),
                ),
                Wish(
                    "dishwasher|kitchen cabinet",
                    "next to",
                    clear_m=0.5,
                    things=(
                        *KITCHEN_TOP,
                        Wish("kitchen cabinet", "next to", clear_m=0.5, chance=0.5, things=KITCHEN_TOP),
                    ),
                ),
                Wish("soap dispenser", "on", chance=0.3),
            ),
        ),
        Wish(
            "refrigerator|refrigerator|mini fridge",
            "wall",
            clear_m=0.6,
            things=(Wish("box/small|bowl|basket", "on", chance=0.3),),
        ),
        Wish("oven", "wall", clear_m=0.5, chance=0.2),
        Wish("kitchen cabinet|kitchen cabinet/tall|cabinet", "wall", clear_m=0.5, count=(0, 2), things=KITCHEN_TOP),
        Wish(
            "kitchen counter|table|table/bar",
            "centre",
            chance=0.5,
            things=(*TABLE_CLUTTER, Wish("stool/bar|stool|chair", "around", count=(1, 3), alike=True, turn=0.2)),
        ),
        Wish("trash can|trash bin|recycling bin|bin", "corner", count=(1, 2)),
        Wish("broom|case of water bottles|crate|basket|chair/child", "corner", chance=0.5),
        Wish("shelf/wall", "hung", chance=0.3, things=(Wish("cup|container|bowl|plate", "on", count=(1, 4)),)),
        Wish("mat/small", "lying", chance=0.4),
        Wish("clock|calendar/wall|picture", "hung", count=(0, 2)),
        Wish("towel/hung", "hung", chance=0.25, middle_m=(1.1, 1.3)),
        Wish("paper bag|box|dustpan|bucket", "anywhere", chance=0.4, turn=ANY_WAY),
        *WALL_FITTINGS,
        *LIGHTS,
    ),
)

DINING_ROOM = Plan(
    area_m2=(10.0, 17.0),
    weight=1.5,
    wishes=(
        WINDOW,
        Wish(
            "dining table",
            "centre",
            things=(
                Wish("chair", "around", count=(3, 6), alike=True, turn=0.15, things=SEAT),
                Wish("plate", "on", count=(0, 4), alike=True),
                Wish("cup|bottle|bowl|candle|water pitcher|tray", "on", count=(1, 5), turn=ANY_WAY),
                Wish("potted plant|decoration", "on", chance=0.6),
                Wish("mat", "lying", chance=0.4),
            ),
        ),
        Wish(
            "cabinet|dresser|shelf|bookshelf",
            "wall",
            clear_m=0.5,
            count=(1, 2),
            things=(*SHELF_CLUTTER, Wish("bowl|decoration|plate|lamp", "on", count=(0, 3))),
        ),
        Wish("chair/child", "corner", chance=0.15),
        Wish("plant", "corner", count=(0, 2), turn=ANY_WAY),
        Wish("stand", "corner", chance=0.3, things=(Wish("potted plant|telephone|lamp|decoration", "on"),)),
        Wish("piano", "wall", clear_m=0.7, chance=0.12),
        Wish("keyboard piano", "anywhere", chance=0.05),
        *WALL_DECORATION,
        Wish("light", "hung", chance=0.3, middle_m=(1.6, 1.8)),
        *WALL_FITTINGS,
        *LIGHTS,
    ),
)

BATHROOM = Plan(
    area_m2=(5.0, 9.0),
    weight=2.0,
    wishes=(
        Wish("shower|bathtub", "wall", clear_m=0.3, things=(Wish("bottle/bath", "on", count=(0, 2)),)),
        Wish("toilet", "wall", clear_m=0.45, things=(Wish("plunger", "next to", chance=0.4),)),
        Wish("shower door", "wall", chance=0.08, clear_m=0.3),
        Wish(
            "sink|bathroom vanity|sink/wall",
            "wall",
            clear_m=0.5,
            things=(
                Wish("soap dispenser|soap dish|bottle/bath|cup", "on", count=(0, 2), turn=0.5),
                Wish("mirror|bathroom cabinet", "above", chance=0.85, gap_m=0.3),
            ),
        ),
        Wish(
            "washing machine",
            "wall",
            clear_m=0.4,
            chance=0.2,
            things=(Wish("laundry detergent|towel|clothes", "on", count=(0, 2)),),
        ),
        Wish(
            "shelf/low|storage organizer|cabinet",
            "wall",
            chance=0.25,
            things=(Wish("towel|toilet paper|bottle/bath|basket", "in", count=(1, 5)),),
        ),
        Wish("shower head", "hung", chance=0.35, middle_m=(1.6, 1.7)),
        Wish("toilet paper dispenser|toilet paper holder", "hung", chance=0.7, middle_m=(0.65, 0.75)),
        Wish("towel/hung", "hung", count=(1, 2), middle_m=(1.1, 1.3)),
        Wish("rack/wall|paper towel dispenser", "hung", chance=0.3, middle_m=(1.2, 1.4)),
        Wish("handicap bar", "hung", chance=0.15, middle_m=(0.8, 0.9)),
        Wish("radiator/towel|radiator", "hung", chance=0.4, middle_m=(0.7, 0.8)),
        Wish("shower curtain", "hung", chance=0.2, middle_m=(1.0, 1.05)),
        Wish("laundry hamper|laundry basket", "corner", chance=0.35, things=(Wish("clothes|towel", "in", chance=0.6),)),
        Wish("scale", "anywhere", chance=0.2),
        Wish("bin|trash can", "corner", chance=0.6),
        Wish("toilet paper", "anywhere", chance=0.3),
        Wish("mat/small", "lying", chance=0.7),
        Wish("vent", "hung", chance=0.3, middle_m=(2.2, 2.3)),
        Wish("light", "hung", chance=0.3, middle_m=(1.8, 1.9)),
        *WALL_FITTINGS,
        *LIGHTS,
    ),
)

OFFICE = Plan(
    area_m2=(9.0, 17.0),
    weight=2.0,
    wishes=(
        WINDOW,
        Wish("desk", "wall", clear_m=0.7, count=(1, 3), things=DESK_THINGS),
        Wish("bookshelf|shelf", "wall", clear_m=0.4, chance=0.8, things=SHELF_CLUTTER),
        Wish(
            "file cabinet",
            "wall",
            clear_m=0.4,
            count=(0, 2),
            things=(Wish("printer|paper|box|potted plant|book/pile", "on", count=(0, 2)),),
        ),
        Wish("copier", "wall", clear_m=0.5, chance=0.3, things=(Wish("paper", "on", chance=0.4),)),
        Wish("couch|armchair", "wall", clear_m=0.5, chance=0.25, things=(Wish("cushion|jacket", "on", chance=0.5),)),
        Wish(
            "cabinet|storage organizer|shelf/low",
            "wall",
            clear_m=0.4,
            chance=0.3,
            things=(*SHELF_CLUTTER, Wish("paper|book/pile|printer", "on", chance=0.5)),
        ),
        Wish("coat rack", "hung", chance=0.3),
        Wish("trash can|bin|recycling bin|trash bin", "corner", count=(1, 2)),
        Wish("plant|fan/floor|water cooler", "corner", chance=0.5),
        Wish("whiteboard|bulletin board|board", "hung", chance=0.7),
        Wish("calendar/wall|poster|clock|paper/wall|sign", "hung", count=(0, 3)),
        Wish("box", "anywhere", count=(0, 2), turn=0.4, things=CARTON),
        Wish("backpack|bag|paper bag|tube", "anywhere", chance=0.5, turn=ANY_WAY),
        *WALL_FITTINGS,
        *LIGHTS,
    ),
)

HALLWAY = Plan(
    area_m2=(4.5, 9.0),
    weight=1.5,
    wishes=(
        Wish(
            "cabinet|wardrobe|dresser|bench",
            "wall",
            clear_m=0.2,
            chance=0.7,
            things=(Wish("telephone|decoration|purse|hat|bowl|backpack", "on", count=(0, 3)),),
        ),
        Wish(
            "rack/shoes",
            "wall",
            chance=0.5,
            things=(Wish("shoe", "in", count=(1, 4)), Wish("hat|purse|bag", "on", chance=0.5)),
        ),
        Wish("coat rack|clothes/hung", "hung", chance=0.6, middle_m=(1.5, 1.7)),
        Wish("mirror", "hung", chance=0.6, middle_m=(1.3, 1.5)),
        Wish("shoe", "anywhere", count=(1, 3), turn=0.6),
        Wish("suitcase|luggage|backpack|bag|plant|stand", "corner", count=(0, 2)),
        Wish("mat/small", "lying", chance=0.8),
        Wish("picture|poster|calendar/wall", "hung", count=(0, 2)),
        Wish("fire extinguisher|bicycle|ladder|broom", "wall", chance=0.35),
        Wish("pipe|column", "corner", chance=0.1),
        Wish(
            "ledge",
            "hung",
            chance=0.15,
            middle_m=(0.9, 1.1),
            things=(Wish("candle|book|decoration", "on", count=(0, 2)),),
        ),
        *WALL_FITTINGS,
        *LIGHTS,
    ),
)

STORAGE_ROOM = Plan(
    area_m2=(5.0, 10.0),
    weight=1.0,
    wishes=(
        Wish(
            "washing machine",
            "wall",
            clear_m=0.5,
            chance=0.8,
            things=(
                Wish("clothes dryer", "next to", clear_m=0.5),
                Wish("laundry detergent|towel|box/small|basket", "on", count=(1, 3)),
            ),
        ),
        Wish(
            "shelf|shelf|storage organizer",
            "wall",
            clear_m=0.3,
            count=(1, 3),
            things=(
                Wish(
                    "box|storage bin|storage container|basket|box/small|bottle|bucket|paper towel roll|toilet paper",
                    "in",
                    count=(3, 8),
                    turn=0.1,
                ),
            ),
        ),
        Wish(
            "table/work|cart|table",
            "wall",
            clear_m=0.4,
            chance=0.5,
            things=(Wish("box|container|tray|bottle|tube|storage bin", "on", count=(1, 4), turn=0.4),),
        ),
        Wish("ironing board", "wall", chance=0.4, things=(Wish("clothes|towel", "on", chance=0.6),)),
        Wish("rack", "wall", chance=0.3),
        Wish(
            "box|storage container|crate|storage bin",
            "wall",
            count=(1, 4),
            things=(
                Wish(
                    "box|storage container|box/small",
                    "on",
                    chance=0.6,
                    turn=0.2,
                    things=(Wish("box/small|box|book/pile", "on", chance=0.4, turn=0.3),),
                ),
            ),
        ),
        Wish("ladder|bicycle|mattress", "wall", chance=0.4),
        Wish("broom|dustpan|bucket|plunger", "corner", count=(1, 3)),
        Wish("laundry basket|laundry hamper", "corner", chance=0.7, things=(Wish("clothes|towel", "in", chance=0.8),)),
        Wish(
            "case of water bottles|suitcase|luggage|fan/floor|fire extinguisher|bench/gym|machine",
            "anywhere",
            count=(1, 2),
            turn=ANY_WAY,
        ),
        Wish("pipe", "corner", chance=0.3),
        Wish("vent", "hung", chance=0.3, middle_m=(2.2, 2.3)),
        Wish("dumbbell", "anywhere", count=(0, 2), turn=ANY_WAY),
        *WALL_FITTINGS,
        *LIGHTS,
    ),
)

CLASSROOM = Plan(
    area_m2=(16.0, 26.0),
    weight=0.8,
    wishes=(
        WINDOW,
        WINDOW,
        Wish("blackboard|whiteboard|projector screen", "hung", middle_m=(1.45, 1.55)),
        Wish(
            "desk",
            "wall",
            clear_m=0.6,
            things=(Wish("laptop|book/pile|paper|cup", "on", count=(1, 3)), Wish("office chair", "before")),
        ),
        Wish(
            "table|table/child",
            "anywhere",
            count=(3, 6),
            alike=True,
            things=(
                Wish("chair", "before", alike=True, turn=0.2, things=SEAT),
                Wish("book|paper|laptop|water bottle|box/small", "on", count=(0, 3), turn=0.5),
            ),
        ),
        Wish("chair/class", "anywhere", count=(0, 4), alike=True, turn=0.3),
        Wish("bookshelf|shelf|cabinet", "wall", clear_m=0.4, count=(0, 2), things=SHELF_CLUTTER),
        Wish("bulletin board|poster|board", "hung", count=(1, 3)),
        Wish("clock|sign|calendar/wall", "hung", count=(0, 2), middle_m=(1.8, 2.0)),
        Wish("trash can|recycling bin|trash bin", "corner", count=(1, 2)),
        Wish("cart", "wall", chance=0.3, things=(Wish("projector|book/pile|box", "on"),)),
        Wish("backpack|bag", "anywhere", count=(0, 3), turn=ANY_WAY),
        Wish("fire extinguisher", "wall", chance=0.4),
        Wish("pillar|column", "corner", chance=0.15),
        *WALL_FITTINGS,
        Wish("ceiling light", "ceiling", count=(1, 2), alike=True),
    ),
)

MEETING_ROOM = Plan(
    area_m2=(13.0, 22.0),
    weight=0.8,
    wishes=(
        WINDOW,
        Wish(
            "dining table|table",
            "centre",
            things=(
                Wish("office chair|chair", "around", count=(4, 7), alike=True, turn=0.3, things=SEAT),
                Wish("laptop|paper|cup|water bottle|projector|telephone|tissue box", "on", count=(2, 6), turn=0.6),
            ),
        ),
        Wish("whiteboard|projector screen|tv/wall", "hung", count=(1, 2), middle_m=(1.4, 1.5)),
        Wish("whiteboard/standing|divider", "wall", chance=0.3),
        Wish(
            "cabinet|counter",
            "wall",
            clear_m=0.5,
            chance=0.6,
            things=(Wish("coffee maker|cup|tray|water pitcher|printer|potted plant|bowl", "on", count=(1, 4)),),
        ),
        Wish("water cooler|plant", "corner", count=(0, 2)),
        Wish("trash can|recycling bin", "corner", count=(1, 2)),
        Wish("poster|picture|clock|sign|calendar/wall", "hung", count=(1, 3)),
        Wish("backpack|bag", "anywhere", count=(0, 2), turn=ANY_WAY),
        Wish("couch|bench", "wall", chance=0.2, clear_m=0.5, things=(Wish("cushion", "on", chance=0.5),)),
        Wish("vent", "hung", chance=0.3, middle_m=(2.2, 2.3)),
        *WALL_FITTINGS,
        Wish("ceiling light", "ceiling", count=(1, 2), alike=True),
    ),
)

PLANS: Mapping[str, Plan] = {
    "living room": LIVING_ROOM,
    "bedroom": BEDROOM,
    "kitchen": KITCHEN,
    "dining room": DINING_ROOM,
    "bathroom": BATHROOM,
    "office": OFFICE,
    "hallway": HALLWAY,
    "laundry": STORAGE_ROOM,
    "classroom": CLASSROOM,
    "meeting room": MEETING_ROOM,
}
"""Use of a room -> plan."""
