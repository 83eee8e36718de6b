// SPDX-License-Identifier: Apache-2.0
// Tests of tools/adapters.
#define BOOST_TEST_MODULE adapters
#include <boost/test/unit_test.hpp>
