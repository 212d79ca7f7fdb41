"""The tables of a trace store: one SQLite file in WAL mode, one writer, any number of readers.

    meta      what made the file: format, software, time, the run's configuration
    session   one row for each time that a process wrote to it
    problem   a question with its gold answer and task data
    policy    who generated: identity, capabilities, prompt
    scorer    who judged
    sampling  how tokens were drawn
    question  what searches asked beside the problems' own questions
    search    a strategy with its options, policy, scorer, sampling, budget and seed; a store may hold many
    node      one step: sampled, forced by a search, or reopened by one; `key` is what the call cache finds it by
    used      which nodes a search had on a problem, in the order in which they landed
    score     a judgement of the path that ends at a node, or (`other`) of a pair of paths
    outcome   what a search came to on a problem, or that it has begun
    candidate the solutions it considered, as references to nodes
    tree      the statistics of a tree search's nodes

Numbers that must come back exactly (token ids, log-probabilities, confidences, step values) are little-endian blobs of
int32 and float64; a NULL number is NaN. Text is UTF-8; text that cannot be (lone surrogates) is a blob of its
surrogate-passing UTF-8.
"""

from __future__ import annotations

APPLICATION_ID = 0x52534E54
"""`PRAGMA application_id` of every trace store: "RSNT"."""

FORMAT = 1
"""`PRAGMA user_version`: raised with every change of the tables or of what the keys hash."""

PAGE_BYTES = 4096

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE session (id INTEGER PRIMARY KEY, started REAL NOT NULL, software TEXT NOT NULL);
CREATE TABLE problem (
    id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, name TEXT NOT NULL, question TEXT NOT NULL, answer TEXT,
    meta TEXT NOT NULL
);
CREATE INDEX problem_name ON problem (name);
CREATE TABLE policy (id INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE, about TEXT NOT NULL);
CREATE TABLE scorer (id INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE, about TEXT NOT NULL);
CREATE TABLE sampling (id INTEGER PRIMARY KEY, settings TEXT NOT NULL UNIQUE);
CREATE TABLE question (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE search (
    id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, strategy TEXT NOT NULL, options TEXT NOT NULL,
    policy INTEGER NOT NULL REFERENCES policy, scorer INTEGER REFERENCES scorer,
    sampling INTEGER NOT NULL REFERENCES sampling, budget TEXT NOT NULL, seed TEXT NOT NULL, created REAL NOT NULL
);
CREATE TABLE node (
    id INTEGER PRIMARY KEY, key BLOB NOT NULL, problem INTEGER NOT NULL REFERENCES problem,
    parent INTEGER REFERENCES node, depth INTEGER NOT NULL, kind TEXT NOT NULL, question INTEGER REFERENCES question,
    policy INTEGER REFERENCES policy, sampling INTEGER REFERENCES sampling, seed INTEGER,
    text TEXT NOT NULL, tokens BLOB NOT NULL, logprobs BLOB NOT NULL, confidences BLOB NOT NULL, tail INTEGER NOT NULL,
    finish TEXT NOT NULL, prefilled INTEGER NOT NULL, shared INTEGER NOT NULL, error TEXT,
    session INTEGER NOT NULL, at REAL NOT NULL
);
CREATE INDEX node_key ON node (key);
CREATE TABLE used (
    search INTEGER NOT NULL REFERENCES search, problem INTEGER NOT NULL REFERENCES problem, place INTEGER NOT NULL,
    node INTEGER NOT NULL REFERENCES node, elapsed REAL NOT NULL, PRIMARY KEY (search, problem, place)
) WITHOUT ROWID;
CREATE TABLE score (
    id INTEGER PRIMARY KEY, key BLOB NOT NULL, scorer INTEGER NOT NULL REFERENCES scorer,
    node INTEGER REFERENCES node, other INTEGER REFERENCES node, value REAL, steps BLOB NOT NULL, parts BLOB NOT NULL,
    tokens INTEGER NOT NULL, explanation TEXT NOT NULL, error TEXT, session INTEGER NOT NULL, at REAL NOT NULL
);
CREATE INDEX score_key ON score (key);
CREATE INDEX score_node ON score (node);
CREATE TABLE outcome (
    search INTEGER NOT NULL REFERENCES search, problem INTEGER NOT NULL REFERENCES problem, state TEXT NOT NULL,
    answer TEXT, node INTEGER REFERENCES node, finish TEXT, confidence REAL, stopped TEXT NOT NULL,
    generated INTEGER NOT NULL, prefilled INTEGER NOT NULL, scored INTEGER NOT NULL, flops REAL NOT NULL,
    seconds REAL NOT NULL, shared INTEGER NOT NULL, failures TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (search, problem)
) WITHOUT ROWID;
CREATE INDEX outcome_problem ON outcome (problem);
CREATE TABLE candidate (
    search INTEGER NOT NULL, problem INTEGER NOT NULL, place INTEGER NOT NULL, node INTEGER REFERENCES node,
    finish TEXT NOT NULL, answer TEXT, score REAL, weight REAL, steps BLOB NOT NULL,
    PRIMARY KEY (search, problem, place)
) WITHOUT ROWID;
CREATE TABLE tree (
    search INTEGER NOT NULL, problem INTEGER NOT NULL, place INTEGER NOT NULL, parent INTEGER,
    node INTEGER REFERENCES node, finish TEXT, depth INTEGER NOT NULL, visits INTEGER NOT NULL, value REAL,
    mean_value REAL, prior REAL, copies INTEGER NOT NULL, open INTEGER NOT NULL, pruned INTEGER NOT NULL,
    chosen INTEGER NOT NULL, PRIMARY KEY (search, problem, place)
) WITHOUT ROWID;
"""
