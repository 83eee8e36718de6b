// SPDX-License-Identifier: Apache-2.0
// The entry of the unit tests of models.
#define BOOST_TEST_MODULE models
#include <boost/test/unit_test.hpp>
