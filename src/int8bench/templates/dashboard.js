'use strict';

/* Registers our page with asv's site, as asv's own pages do, and shows the way to it in the bar at the top. */
if (window.jQuery) {
    jQuery(document).ready(function() {
        jQuery('#nav-li-graphdisplay').before('<li id="nav-li-int8bench"><a href="#/int8bench">int8 speed-up</a></li>');
        jQuery.asv.register_page('int8bench', function() {
            window.location.replace('int8bench.html');
        });
    });
}
