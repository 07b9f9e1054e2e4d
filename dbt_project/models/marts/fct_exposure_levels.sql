with levels as (

    select * from {{ ref('stg_lake__exposure_levels') }}

),

last_snapshots as (

    select * from {{ ref('int_session_last_snapshots__selected') }}

),

final as (

    select
        -- keys
        concat_ws(
            '|',
            levels.underlying,
            strftime(levels.event_at at time zone 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ'),
            levels.model
        ) as exposure_level_id,
        concat_ws('|', levels.underlying, levels.session_date) as session_id,
        levels.underlying,
        levels.session_date,
        levels.event_at,
        levels.known_at,
        levels.model,
        last_snapshots.event_at is not null as is_session_last,

        -- snapshot
        levels.spot,
        levels.spot_source,
        levels.contracts,
        levels.contracts_used,
        levels.unpositioned_oi_share,
        levels.expiries,

        -- exposures
        levels.net_delta_exposure_usd,
        levels.net_gamma_exposure_usd_per_pct,
        levels.net_vanna_exposure_usd_per_vol_pt,
        levels.net_charm_exposure_usd_per_day,
        levels.net_volga_exposure_usd_per_vol_pt2,
        levels.call_gamma_exposure_usd_per_pct,
        levels.put_gamma_exposure_usd_per_pct,
        levels.gross_gamma_exposure_usd_per_pct,
        levels.net_gamma_sd_usd_per_pct,
        levels.zero_dte_share,

        -- levels
        levels.flip_price,
        levels.flip_status,
        levels.flip_pct,
        levels.flip_prices,
        levels.flip_slopes,
        levels.call_wall,
        levels.put_wall,
        levels.call_side_wall,
        levels.put_side_wall,
        levels.absolute_gamma_strike,
        levels.max_pain,

        -- bands of the levels
        levels.flip_median,
        levels.flip_lo,
        levels.flip_hi,
        levels.flip_band_pct,
        levels.flip_convention_lo,
        levels.flip_convention_hi,
        levels.flip_oi_age_lo,
        levels.flip_oi_age_hi,
        levels.flip_sticky_moneyness,
        levels.flip_sticky_moneyness_lo,
        levels.flip_sticky_moneyness_hi,
        levels.net_gamma_lo_usd_per_pct,
        levels.net_gamma_hi_usd_per_pct,
        levels.net_delta_lo_usd,
        levels.net_delta_hi_usd,
        levels.net_vanna_lo_usd_per_vol_pt,
        levels.net_vanna_hi_usd_per_vol_pt,
        levels.net_charm_lo_usd_per_day,
        levels.net_charm_hi_usd_per_day,
        levels.net_volga_lo_usd_per_vol_pt2,
        levels.net_volga_hi_usd_per_vol_pt2,
        levels.call_wall_stability,
        levels.put_wall_stability,
        levels.forwards_settled_share,
        levels.vols_settled_share,
        levels.band_resamples,

        -- expected move
        levels.expected_move_straddle_usd,
        levels.expected_move_vol_365_usd,
        levels.expected_move_vol_252_usd,

        -- quality
        levels.is_partial,
        levels.two_sided_share,
        levels.determined_oi_share,
        levels.is_publishable,
        levels.quality_reasons,
    from levels
    left join last_snapshots
        on levels.underlying = last_snapshots.underlying
        and levels.session_date = last_snapshots.session_date
        and levels.model = last_snapshots.model
        and levels.event_at = last_snapshots.event_at

)

select * from final
