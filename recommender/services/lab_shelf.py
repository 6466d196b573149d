"""What the Lab offers, in words: questions to ask of a history, and methods to compare on it.

Imported by web processes, so nothing here knows the engine's methods themselves; a test holds the
titles and the ten quick ones to the engine's shelf.
"""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_MINUTES = 3.0
MAX_MINUTES = 60.0
DEFAULT_SEED = 1
TEST_DAYS = 28.0
"""At the end of the history; of one shorter than twice that, the last fifth."""
MIN_QUERIES = 20
"""Fewer questions than this say nothing about any method."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """A question that a history can answer.

    Attributes
    ----------
    stock, enough
        What of `selectors.lab.history_stocks` it needs, and how much of it.
    one, many
        What that is called.
    figure
        The metric that decides, and what it says.
    """

    key: str
    title: str
    question: str
    how: str
    stock: str
    enough: int
    one: str
    many: str
    figure: str
    figure_words: str


PROTOCOLS: tuple[Protocol, ...] = (
    Protocol(
        "next-purchases",
        "Next purchases",
        "What does a customer who is known buy next?",
        "Methods learn from all orders before the cut and name 20 products for each customer. Right"
        " is what the customer then bought, again or for the first time.",
        "customers",
        50,
        "shopper with orders on two days",
        "shoppers with orders on two days",
        "recall@20",
        "Share of what customers then bought that was among the 20",
    ),
    Protocol(
        "basket-completion",
        "Basket completion",
        "What completes this basket?",
        "Methods learn from all orders before the cut. One product of each later order is hidden;"
        " right is the hidden one, among 20.",
        "baskets",
        100,
        "order of three or more products",
        "orders of three or more products",
        "hr@20",
        "Share of the baskets whose hidden product was among the 20",
    ),
    Protocol(
        "next-click",
        "Next click",
        "What does a shopper look at next?",
        "Methods learn from all visits before the cut. Of each later visit they see the first"
        " clicks; right is the next one, among 20.",
        "visits",
        100,
        "visit to two or more products",
        "visits to two or more products",
        "hr@20",
        "Share of the clicks that were among the 20",
    ),
)


@dataclass(frozen=True, slots=True)
class ShelfMethod:
    """A method as a member chooses it.

    Attributes
    ----------
    words
        What it does, as a sentence.
    quick
        Whether it is among the ten that are ticked.
    cost
        What it takes on a store with some hundred thousand orders, where it isn't quick.
    """

    key: str
    title: str
    words: str
    quick: bool = False
    cost: str = ""


_MINUTES = "minutes"
_HOURS = "many minutes, with an extra"
_TENS = "tens of seconds"

SHELF: tuple[ShelfMethod, ...] = (
    ShelfMethod("bestsellers", "Popularity, decayed", "What sells now, for everybody alike.", True),
    ShelfMethod("buy_again", "Repeat purchases", "What the shopper bought before.", True),
    ShelfMethod(
        "also_viewed",
        "Item kNN, cosine, published lists",
        "The products that are most often found together.",
        True,
    ),
    ShelfMethod(
        "item_knn_cosine", "Item kNN, cosine", "The same, with a list per answer.", cost=_TENS
    ),
    ShelfMethod(
        "item_knn_pearson", "Item kNN, Pearson", "Products that rise and fall together.", cost=_TENS
    ),
    ShelfMethod(
        "item_knn_jaccard", "Item kNN, Jaccard", "Products with mostly the same buyers.", cost=_TENS
    ),
    ShelfMethod("user_knn", "User kNN, cosine", "What similar shoppers have.", cost=_MINUTES),
    ShelfMethod("user_knn_pearson", "User kNN, Pearson", "The same by correlation.", cost=_MINUTES),
    ShelfMethod(
        "user_knn_jaccard", "User kNN, Jaccard", "The same by shared products.", cost=_MINUTES
    ),
    ShelfMethod(
        "bought_together",
        "EASE on baskets",
        "A linear model of which products complete which baskets.",
        True,
    ),
    ShelfMethod(
        "for_you", "EASE on shoppers", "A linear model of which histories like what.", True
    ),
    ShelfMethod("ease_sparse", "EASE, sparse", "The same for large catalogs.", cost=_MINUTES),
    ShelfMethod("slim", "SLIM", "A sparse linear model, one product at a time.", cost=_MINUTES),
    ShelfMethod("for_you_als", "ALS", "Hidden tastes of shoppers and products.", True),
    ShelfMethod("svd", "Truncated SVD", "The main directions of who buys what.", True),
    ShelfMethod("bpr", "BPR", "Hidden tastes, learned from pairs.", cost=_MINUTES),
    ShelfMethod(
        "biased_svd", "Biased SVD of ratings", "How good a shopper finds a product.", cost=_TENS
    ),
    ShelfMethod(
        "light_gcn",
        "Light graph convolution",
        "Tastes spread over the graph of who has what.",
        cost=_TENS,
    ),
    ShelfMethod(
        "fm", "Factorisation machine", "Tastes with prices, brands and categories.", cost=_MINUTES
    ),
    ShelfMethod(
        "naive_bayes", "Naive Bayes", "How likely a purchase is, fact by fact.", cost=_TENS
    ),
    ShelfMethod("linear_svm", "Linear SVM", "The same as a linear border.", cost=_TENS),
    ShelfMethod("session_neighbours", "Session kNN", "Visits that began like this one.", True),
    ShelfMethod("next_click", "Linear next click", "Where visits go from here.", True),
    ShelfMethod("sknn", "SKNN", "Visits with the same products.", cost=_TENS),
    ShelfMethod("vsknn", "V-SKNN", "The same, newer clicks counting more.", cost=_TENS),
    ShelfMethod("stan", "STAN", "The same, with the age of visits.", cost=_TENS),
    ShelfMethod("vstan", "V-STAN", "Both of these.", cost=_TENS),
    ShelfMethod("markov", "Markov chain", "What follows a product, by counting.", cost=_TENS),
    ShelfMethod("item2vec", "Item2vec", "Products that stand in the same places.", cost=_MINUTES),
    ShelfMethod("gru", "GRU4Rec", "A recurrent network over visits.", cost=_HOURS),
    ShelfMethod("sasrec", "SASRec", "A network with self-attention over visits.", cost=_HOURS),
    ShelfMethod(
        "ncf", "Two towers (neural CF)", "A network for shoppers, one for products.", cost=_HOURS
    ),
    ShelfMethod("bow", "Content, bag of words", "Products with the same words.", cost=_TENS),
    ShelfMethod("tfidf", "Content, TF-IDF", "Products with the same rare words.", cost=_TENS),
    ShelfMethod("similar_content", "Content, Word2Vec", "Products that are described alike.", True),
    ShelfMethod("lda", "Content, LDA topics", "Products about the same topics.", cost=_MINUTES),
    ShelfMethod(
        "sentences",
        "Content, sentence model",
        "Products whose texts mean the same.",
        cost=_MINUTES,
    ),
    ShelfMethod(
        "own_vectors",
        "Content, own vectors",
        "Products that are alike by your own vectors.",
        cost=_TENS,
    ),
    ShelfMethod(
        "content_fusion",
        "Content, text and own vectors",
        "Texts, attributes and own vectors together.",
        cost=_TENS,
    ),
    ShelfMethod(
        "reciprocal_rank",
        "Reciprocal rank fusion",
        "The ranks of several methods added up.",
        cost=_MINUTES,
    ),
    ShelfMethod(
        "weighted_blend", "Weighted blend", "Several methods with tuned weights.", cost=_MINUTES
    ),
    ShelfMethod(
        "learned_blend", "Learned blend", "Several methods, weighed by context.", cost=_MINUTES
    ),
    ShelfMethod(
        "boosted_blend", "Boosted blend", "The same, and trees that correct it.", cost=_MINUTES
    ),
)
METHOD_OF = {method.key: method for method in SHELF}
PROTOCOL_OF = {protocol.key: protocol for protocol in PROTOCOLS}
QUICK = tuple(method.key for method in SHELF if method.quick)
