// SPDX-License-Identifier: Apache-2.0
// The entry of the unit tests of formats.
#define BOOST_TEST_MODULE formats
#include <boost/test/unit_test.hpp>
