"""The drawings on product tiles: one line glyph per kind of product. Data, no logic."""

# ruff: noqa: E501  (a path is a drawing: breaking it makes it no more readable)

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Glyph:
    """A line drawing on a 48 × 48 grid, the hue of its family, and the words that call for it."""

    name: str
    hue: int
    words: str
    path: str


def _dot(x: float, y: float, radius: float = 1.2) -> str:
    """A small circle as part of a path."""
    return f"M{x - radius} {y}a{radius} {radius} 0 1 0 {2 * radius} 0a{radius} {radius} 0 1 0 {-2 * radius} 0"


# fmt: off
GLYPHS = (
    Glyph("soup", 50, "soup broth stew chili bouillon", "M7 23h34c0 10-6 16-12 17H19C13 39 7 33 7 23zM18 17c-2-3 2-5 0-8M24 17c-2-3 2-5 0-8M30 17c-2-3 2-5 0-8"),
    Glyph("pizza", 45, "pizza", "M24 42 8 13c10-6 22-6 32 0zM10.5 17.500c9-5 18-5 27 0" + _dot(20, 23, 2.2) + _dot(28, 25, 2.2) + _dot(24, 32, 1.8)),
    Glyph("ice-cream", 350, "ice-cream sherbet sherbts novelties popsicle sorbet gelato cones", "M15 21a9 9 0 1 1 18 0M13 21h22L24 42zM18 21l9 15M30 21l-9 15"),
    Glyph("dough", 75, "dough biscuit biscuits waffle waffles pancake pancakes mix mixes mxs baking flour meals meal corn-meal", "M24 42V15M24 15c-4-2-4-6 0-9 4 3 4 7 0 9zM24 24c-1-5-5-6-9-6 0 5 4 8 9 6zM24 24c1-5 5-6 9-6 0 5-4 8-9 6zM24 33c-1-5-5-6-9-6 0 5 4 8 9 6zM24 33c1-5 5-6 9-6 0 5-4 8-9 6z"),
    Glyph("sandwich", 70, "sandwich sandwiches sndwch burrito wrap lunch deli party-tray trays", "M8 20c0-7 7-11 16-11s16 4 16 11zM7 25c3 0 3 3 6 3s3-3 5.5-3 3 3 5.5 3 3-3 5.5-3 3 3 6 3 2.5-3 5.5-3M8 33h32v2a5 5 0 0 1-5 5H13a5 5 0 0 1-5-5z"),
    Glyph("sausage", 25, "hot-dogs hot-dog sausage sausages frankfurter frank franks links brats kielbasa bacon smoked", "M9 14c-4 4-2 8 2 9 9 2 12 6 14 14 1 5 6 6 9 2 6-7-14-31-25-25zM9 14 6 11M34 39l3 3M17 19l-3 4M25 26l-4 3"),
    Glyph("snacks", 60, "chips snacks snack snks popcorn pretzels pretzel puffs tortilla nachos salsa", "M15 7h18l-2 5c3 9 3 15 0 24l2 5H15l2-5c-3-9-3-15 0-24zM17 12h14M17 36h14" + _dot(24, 24, 4.5)),
    Glyph("cookie", 65, "cookie cookies crackers cracker cakes-rice granola bars", _dot(24, 24, 16) + _dot(18, 19, 1.7) + _dot(28, 17, 1.4) + _dot(31, 27, 1.7) + _dot(21, 30, 1.7) + _dot(24, 24, 1)),
    Glyph("cereal", 70, "cereal cereals oatmeal breakfast brkfst", "M7 25h34c0 9-6 14-11 15H18c-5-1-11-6-11-15z" + _dot(16, 19, 2.6) + _dot(24, 17, 2.6) + _dot(32, 19, 2.6)),
    Glyph("jar", 30, "peanut-butter pnt jelly jams jam honey spread sprd baby-food baby-foods pickle pickles relish olives pkld mayonnaise mustard pasta-sauce sauce sauces salsa gravy dips", "M15 7h18v6H15zM17 13v3c-3 1-4 3-4 6v15a4 4 0 0 0 4 4h14a4 4 0 0 0 4-4V22c0-3-1-5-4-6v-3M13 25h22M13 34h22"),
    Glyph("baby", 60, "baby infant diapers diaper formula toddler nursing", "M19 19h10c4 2 5 5 5 8v11a4 4 0 0 1-4 4H18a4 4 0 0 1-4-4V27c0-3 1-6 5-8zM16 19v-3h16v3M20 16c0-3 2-3 2-6a2 2 0 0 1 4 0c0 3 2 3 2 6M14 28h6M14 34h6"),
    Glyph("pet", 75, "pet pets dog dogs cat cats litter bird aquarium", _dot(12.5, 22, 3.6) + _dot(20, 13.5, 3.8) + _dot(28, 13.5, 3.8) + _dot(35.5, 22, 3.6) + "M24 23c5 0 10 7 10 12 0 4-3 5-5 5-2 0-3-1-5-1s-3 1-5 1c-2 0-5-1-5-5 0-5 5-12 10-12z"),
    Glyph("tea", 130, "tea teas", "M9 18h24v11a9 9 0 0 1-9 9h-6a9 9 0 0 1-9-9zM33 21h3a5 5 0 0 1 0 10h-3M21 18v9M18.5 27h5v5h-5zM17 12c-2-2 1-4 0-6M25 12c-2-2 1-4 0-6"),
    Glyph("coffee", 50, "coffee cocoa cappuccino espresso creamer creamers filters", "M9 18h24v11a9 9 0 0 1-9 9h-6a9 9 0 0 1-9-9zM33 21h3a5 5 0 0 1 0 10h-3M15 12c-2-3 2-4 0-7M21 12c-2-3 2-4 0-7M27 12c-2-3 2-4 0-7M8 42h26"),
    Glyph("wine", 350, "wine wines champagne sangria", "M15 7h18c2 11-2 19-9 19S13 18 15 7zM24 26v14M17 41h14M14.5 15h19"),
    Glyph("beer", 80, "beer beers ales ale lager malt", "M11 17h20v21a3 3 0 0 1-3 3H14a3 3 0 0 1-3-3zM31 21h4a3 3 0 0 1 3 3v8a3 3 0 0 1-3 3h-4M17 23v12M25 23v12M11 17a5 5 0 0 1 2-9 6 6 0 0 1 10-1 5 5 0 0 1 8 4c2 2 2 5 0 6"),
    Glyph("liquor", 55, "liquor spirits bourbon vodka rum whiskey cordials cooler tequila gin", "M14 12h20l-3 29H17zM15.5 26h17M21 33l5-3 3 5"),
    Glyph("juice", 75, "juice juices jce isotonic drnks drink drinks-fruit lemonade punch powder pwdr crystl smoothie", "M12 16h24l-3 23a3 3 0 0 1-3 2H18a3 3 0 0 1-3-2zM13.5 25h21M26 16l4-10h5"),
    Glyph("soda", 35, "soft-drinks soft sft soda cola drnk carb carbonated energy drinks beverage beverages", "M15 11h18l2 4v22l-2 4H15l-2-4V15zM13 15h22M13 37h22M21 11c0-3 6-3 6 0M13 29c8 2 12-8 22-6"),
    Glyph("water", 235, "water waters spring-water", "M20 6h8v6c4 2 5 4 5 7v20a3 3 0 0 1-3 3H18a3 3 0 0 1-3-3V19c0-3 1-5 5-7zM20 10h8M15 23c3 2 6 2 9 0s6-2 9 0M15 32c3 2 6 2 9 0s6-2 9 0"),
    Glyph("spice", 40, "spice spices extracts seasoning seasonings salt pepper-spice sugar sugars sweetners sweeteners", "M17 17h14l3 21a3 3 0 0 1-3 3H17a3 3 0 0 1-3-3zM17 17c0-13 14-13 14 0M15.5 28h17" + _dot(21, 12.5, 0.6) + _dot(24, 11, 0.6) + _dot(27, 12.5, 0.6)),
    Glyph("oil", 95, "oil oils shortening shortenings vinegar dressing dressings dressng drsng syrup syrups molasses condiments topping toppings ketchup catsup", "M21 6h6v8c0 5 6 7 6 14v11a3 3 0 0 1-3 3H18a3 3 0 0 1-3-3V28c0-7 6-9 6-14zM21 11h6M15 28h18M15 36h18"),
    Glyph("yogurt", 320, "yogurt yogurts pudding gelatin desserts dessert", "M13 17h22l-3 22a3 3 0 0 1-3 2H19a3 3 0 0 1-3-2zM11 12h26v5H11zM24 30c-5-4-2-7 0-4 2-3 5 0 0 4z"),
    Glyph("cheese", 85, "cheese cheeses", "M7 27 33 11c5 1 8 6 8 12v16H7zM7 27h34" + _dot(16, 33, 2.2) + _dot(28, 34, 2.6) + _dot(31, 20.5, 2.2)),
    Glyph("butter", 90, "butter margarine margarines cream-cheese", "M7 21l7-7h27l-7 7zM7 21v14h27V21M34 35l7-6V14M16 21v14"),
    Glyph("egg", 75, "egg eggs", "M24 7c7 0 13 11 13 20a13 13 0 0 1-26 0c0-9 6-20 13-20zM17 27a7 7 0 0 0 5 7"),
    Glyph("milk", 230, "milk milks cream dairy half-half by-products", "M15 20l4-8h10l4 8v19a2 2 0 0 1-2 2H17a2 2 0 0 1-2-2zM15 20h18M19 12V7h10v5M15 30c6-3 12 3 18 0"),
    Glyph("cake", 355, "cake cakes pie pies pastry donut donuts sweet sweets goods-sweet muffin muffins brownie danish desserts-bakery bakery", "M14 26l3 13a2 2 0 0 0 2 2h10a2 2 0 0 0 2-2l3-13M12 26c-3-5 0-9 4-9 1-7 15-7 16 0 4 0 7 4 4 9zM21 26l1 15M27 26l-1 15" + _dot(24, 8.5, 2)),
    Glyph("bread", 65, "bread breads buns bun rolls roll bagel bagels baked tortillas", "M11 22c-5-2-4-11 4-11h18c8 0 9 9 4 11v15a2 2 0 0 1-2 2H13a2 2 0 0 1-2-2zM18 18v4M24 17v5M30 18v4"),
    Glyph("candy", 5, "candy candies chocolate chocolates gum mints confection", _dot(24, 24, 8) + "M17 20l-9-5v18l9-5M31 20l9-5v18l-9-5M19 19c4 2 6 5 7 12M24 16c4 3 6 6 7 10"),
    Glyph("nuts", 60, "nuts nut almonds almond cashew cashews peanuts pistachio trail", "M12 20c0-6 5-9 12-9s12 3 12 9zM14 20c0 10 4 18 10 21 6-3 10-11 10-21M24 11V6M19 15l2 2M27 14l2 2"),
    Glyph("pasta", 75, "pasta noodles noodle macaroni spaghetti dinner dinners", "M7 24h34c0 9-5 15-11 16H18c-6-1-11-7-11-16zM12 24c0-9 9-9 9-2M18 24c0-11 11-11 11-1M26 24c0-9 9-9 10 0M30 7l-8 8M35 9l-9 7"),
    Glyph("grain", 80, "rice bean beans lentils grain grains dry hispanic mexican asian", "M14 15c-3 8-4 20-1 26h22c3-6 2-18-1-26zM14 15c-1-3 0-6 2-8 3 3 5-1 8 0s5 3 8 0c2 2 3 5 2 8M20 28c0-3 3-3 3 0s-3 3-3 0zM26 33c0-3 3-3 3 0s-3 3-3 0zM27 24c0-3 3-3 3 0s-3 3-3 0z"),
    Glyph("citrus", 80, "citrus orange oranges lemon lemons lime limes grapefruit", _dot(24, 24, 16) + _dot(24, 24, 12) + "M24 12v24M13.6 18l20.8 12M13.6 30l20.8-12"),
    Glyph("berries", 330, "berries berry strawberry strawberries blueberries raspberries grapes grape cherries raisins dried", _dot(17, 22, 5) + _dot(28, 22, 5) + _dot(22.5, 31, 5) + _dot(33, 31, 5) + _dot(28, 39, 4) + "M24 16c1-5 4-8 9-9M24 14c-4 0-7-2-8-6 4 0 7 2 8 6z"),
    Glyph("tropical", 90, "tropical banana bananas pineapple mango kiwi avocado melon melons", "M10 9c1 16 10 26 27 25 3 0 3 4 0 5C18 43 5 30 7 10zM10 9l-1-4H6l1 5M14 18c4 8 10 12 18 14"),
    Glyph("carrot", 55, "carrot carrots roots radish", "M30 18c5 4 4 8 0 11L12 41c-4 2-7-1-5-5L19 18c3-4 7-4 11 0zM18 27l3 3M24 22l3 3M14 33l2 2M30 17c0-5 2-8 6-10M31 17c3-4 7-4 10-2"),
    Glyph("onion", 70, "onion onions garlic potato potatoes squash sweet-potatoes", "M24 7c0 9 15 11 15 22 0 8-7 11-15 11S9 37 9 29C9 18 24 16 24 7zM24 16c-6 6-8 14-4 24M24 16c6 6 8 14 4 24M21 40l-1 3M27 40l1 3"),
    Glyph("pepper", 140, "pepper peppers tomato tomatoes corn cucumber", "M24 15c-4-4-15-3-15 7 0 9 5 18 9 18 3 0 4-2 6-2s3 2 6 2c4 0 9-9 9-18 0-10-11-11-15-7zM24 15c0-4 1-7 5-8M19 14c2-3 8-3 10 0M18 21c-2 4-1 8 1 12"),
    Glyph("mushroom", 60, "mushroom mushrooms", "M7 24C7 14 14 8 24 8s17 6 17 16zM19 24v11a5 5 0 0 0 10 0V24" + _dot(19, 17, 2) + _dot(29, 16, 1.6)),
    Glyph("plant", 145, "garden plants plant lawn houseplant outdoor seeds potted", "M14 29h20l-3 12H17zM24 29V17M24 19c0-8-5-11-13-11 0 8 5 12 13 11zM24 22c0-6 5-9 12-9 0 6-5 10-12 9z"),
    Glyph("flower", 340, "floral flower flowers bouquet roses cut bouquets arrangements", _dot(24, 18, 4) + "M24 14c-4-4-3-9 0-9s4 5 0 9zM28 18c4-4 9-3 9 0s-5 4-9 0zM24 22c4 4 3 8 0 8s-4-4 0-8zM20 18c-4 4-9 3-9 0s5-4 9 0zM24 30v13M24 38c-5 0-8-2-9-6 5 0 8 2 9 6zM24 38c5 0 8-2 9-6-5 0-8 2-9 6z"),
    Glyph("salad", 140, "salad salads lettuce vegetable vegetables veg herbs herb broccoli cauliflower cabbage spinach greens celery asparagus sprouts organic organics value-added", "M9 39c-1-19 9-30 30-30 1 20-9 31-27 27M9 42c4-11 11-18 20-22M17 29v-8M17 29h9M23 23v-6M23 23h7"),
    Glyph("apple", 135, "fruit fruits apple apples pear pears peaches stone produce", "M24 16c-4-4-15-3-15 8 0 9 6 17 10 17 2 0 3-1 5-1s3 1 5 1c4 0 10-8 10-17 0-11-11-12-15-8zM24 16c0-4 1-7 5-10M15 23c0-2 1-3 3-4"),
    Glyph("poultry", 45, "chicken chickens turkey turkeys poultry wings", "M21 29c-6-6-2-20 9-20 8 0 12 6 10 13-3 9-13 13-19 7zM21 29l-7 7M17 33c-2-1-4 0-5 1-3-1-5 3-2 5 0 4 4 5 6 2 2 0 3-3 2-5M31 14c3 0 5 3 4 6"),
    Glyph("fish", 225, "fish seafood tuna salmon shrimp crab shellfish tilapia lobster", "M5 24c7-11 21-12 28-3l9-7c-2 7-2 13 0 20l-9-7c-7 9-21 8-28-3zM17 17c3 4 3 10 0 14M23 21l4 3-4 3" + _dot(11.5, 23, 0.9)),
    Glyph("meat", 15, "meat meats beef pork steak veal lamb ham loin ground lunchmeat roast ribs deli bologna heat-serve", "M11 29C3 22 10 8 24 9c12 0 19 8 17 17-2 8-8 7-13 10-6 4-12 0-17-7zM14 26c-3-5 2-12 10-12 8-1 13 5 12 10-1 5-6 5-10 7-5 3-9 0-12-5z" + _dot(19, 21, 3)),
    Glyph("can", 40, "pantry shelf stable canned", "M11 11c0-5 26-5 26 0v26c0 5-26 5-26 0zM11 11c0 5 26 5 26 0M11 18c0 5 26 5 26 0M11 31c0 5 26 5 26 0"),
    Glyph("frozen", 225, "frozen frzn ice refrigerated refrgratd", "M24 6v36M8.4 15l31.2 18M39.6 15 8.4 33M24 13l-4-4M24 13l4-4M24 35l-4 4M24 35l4 4M14.5 18.5 9 20M14.5 18.5 13 13M33.5 29.5 39 28M33.5 29.5 35 35M33.5 18.5 39 20M33.5 18.5 35 13M14.5 29.5 9 28M14.5 29.5 13 35"),
    Glyph("paper", 245, "tissue tissues tiss towels towel paper napkin napkins bath-tissues toilet", "M10 18c0-8 14-8 14 0v16c0 6-14 6-14 0zM24 18v0c0-5-3-6-7-6h14c5 0 7 3 7 7v19c0 2-4-1-7 1s-5-1-7 0V18" + _dot(17, 18, 2.2)),
    Glyph("wrap", 250, "foil wraps bags trsh trash foilware plastic storage disposible disposable cups plates paper-housewares", "M9 15c0-5 9-5 9 0v18c0 5-9 5-9 0zM18 15h21v24l-3-2-3 2-3-2-3 2-3-2-3 2-3-2M13.5 15v0"),
    Glyph("laundry", 235, "laundry detergent detergents bleach softener apparel clothing hosiery socks shoe shoes t-shirts domestic", "M17 8l-11 6 4 9 4-2v20h20V21l4 2 4-9-11-6c-2 5-12 5-14 0z"),
    Glyph("cleaning", 200, "cleaning cleang cleaner cleaners household dishwash dishwashing dishwasher air brooms mops broom sponges insecticides", "M18 20h12c3 2 4 5 4 8v11a3 3 0 0 1-3 3H17a3 3 0 0 1-3-3V28c0-3 1-6 4-8zM19 20v-6h10v6M17 14V8h14l3 4h-3v2zM34 17l-3-3M38 8h.1M38 13h.1M42 10h.1M14 31h20"),
    Glyph("dental", 205, "oral dental tooth toothpaste toothbrush toothbrushes mouthwash", "M16 8c3 0 5 2 8 2s5-2 8-2c6 0 8 6 7 12-1 7-3 21-7 21-5 0-3-13-8-13s-3 13-8 13c-4 0-6-14-7-21-1-6 1-12 7-12z"),
    Glyph("hygiene", 290, "hair shampoo soap lotion hand body facial deodorant deodorants antiperspirant bath shaving razor razors feminine hygiene skin hbc suntan nail grooming personal", "M15 22h18c2 1 3 3 3 5v11a4 4 0 0 1-4 4H16a4 4 0 0 1-4-4V27c0-2 1-4 3-5zM20 22v-5h8v5M24 17V9M17 9h12c3 0 4 2 4 4M12 29h24M12 36h24"),
    Glyph("beauty", 345, "cosmetics makeup lipstick cosmetic fragrance fragrances covergirl maybelline", "M17 25h14v16H17zM19 25v-7h10v7M20 18v-7l8-5v12"),
    Glyph("health", 170, "cold flu analgesics vitamin vitamins antacids laxatives sinus allergy medicine first aid pharmacy eye ear dietary fitness diet health nutrition foot remedies", "M13 25 25 13a8 8 0 0 1 11 11L24 36a8 8 0 0 1-11-11zM19 19l11 11M32 17c1 1 2 3 1 5"),
    Glyph("kitchen", 30, "kitchen cookware bakeware gadgets glassware dinnerware housewares appliances", "M9 19h30v14a6 6 0 0 1-6 6H15a6 6 0 0 1-6-6zM7 19h34M9 25H4M39 25h5M17 14c0-4 14-4 14 0M24 11V8"),
    Glyph("candle", 60, "candle candles charcoal lighter firelogs", "M16 21h16v20H16zM24 21v-4M24 17c-5-3-2-7 0-11 2 4 5 8 0 11zM16 27c3 0 2 5 4 5s2-5 4-5h8"),
    Glyph("light", 90, "electrical batteries battery bulb bulbs light lights hardware tools photo film", "M24 6c8 0 13 6 13 13 0 6-4 8-6 14H17c-2-6-6-8-6-14C11 12 16 6 24 6zM18 37h12M20 41h8M20 21l4 4 4-4M24 25v8"),
    Glyph("book", 260, "book books bookstore magazine magazines newspaper newspapers", "M24 13c-4-4-10-5-17-4v27c7-1 13 0 17 4 4-4 10-5 17-4V9c-7-1-13 0-17 4zM24 13v27M12 16c3 0 5 0 7 2M12 23c3 0 5 0 7 2M36 16c-3 0-5 0-7 2M36 23c-3 0-5 0-7 2"),
    Glyph("pencil", 265, "stationery school office supplies pens", "M9 39l3-10L33 8a4 4 0 0 1 6 0l1 1a4 4 0 0 1 0 6L19 36zM12 29l7 7M29 12l7 7M9 39l5-1.5"),
    Glyph("gift", 0, "gift gifts greeting cards party christmas halloween easter valentine seasonal holiday sply", "M8 17h32v8H8zM11 25h26v15a1 1 0 0 1-1 1H12a1 1 0 0 1-1-1zM24 17v24M24 17c-10 0-11-10-6-10 4 0 6 6 6 10zM24 17c10 0 11-10 6-10-4 0-6 6-6 10z"),
    Glyph("toy", 275, "toy toys games game sports sporting memorabilia memorablilia leisure travel", _dot(24, 24, 16) + "M24 8c-7 5-7 27 0 32M24 8c7 5 7 27 0 32M8 24c5-6 27-6 32 0"),
    Glyph("screen", 265, "audio video vhs dvd electronics wireless prepaid phone telephone", "M7 11h34v23H7zM17 41h14M24 34v7M21 17.500l7 5-7 5z"),
    Glyph("car", 240, "automotive car auto fuel gasoline gas motor", "M7 33v-7l5-3 5-9h15l6 9 4 3v7h-4M32 33H18M12 23h26M24 14v9" + _dot(14, 34, 4) + _dot(35, 34, 4)),
    Glyph("box", 70, "tobacco cigarettes cigarette cigars smoking coupon misc miscellaneous store", "M24 6 40 14v19l-16 9-16-9V14zM8 14l16 9 16-9M24 23v19M16 10l16 9v7"),
)
# fmt: on
BASKET = Glyph(
    "basket",
    100,
    "",
    "M6 20h36l-4 19a2 2 0 0 1-2 2H12a2 2 0 0 1-2-2zM13 20l8-13M35 20 27 7M18 27v8M24 27v8M30 27v8",
)
