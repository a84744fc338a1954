"""Runs one test of the Paho interoperability suite in a process of its own.

    python paho_case.py FOLDER FILE PORT TEST

FOLDER is the suite's `interoperability`, FILE `client_test` or `client_test5`, TEST a method. What the files read from
their command line is set in their modules, so nothing in the suite is changed.
"""

import importlib
import sys
import unittest

TOPICS = ("TopicA", "TopicA/B", "Topic/C", "TopicA/C", "/TopicA")
WILD = ("TopicA/+", "+/C", "#", "/#", "/+", "+/+", "TopicA/#")


def main(folder, file, port, name):
    sys.path.insert(0, folder)
    module = importlib.import_module(file)
    module.host, module.port = "127.0.0.1", int(port)
    module.topic_prefix = "client_test5/"
    module.topics, module.wildtopics, module.nosubscribe_topics = TOPICS, WILD, ("test/nosubscribe",)
    # By its name, because one of the tests is not called test_...
    done = unittest.TextTestRunner(stream=sys.stderr, verbosity=2).run(unittest.TestSuite([module.Test(name)]))
    return 0 if done.wasSuccessful() and done.testsRun == 1 else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
