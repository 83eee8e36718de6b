// SPDX-License-Identifier: Apache-2.0
// Tests of libcore/systems.
#define BOOST_TEST_MODULE systems
#include <boost/test/unit_test.hpp>
